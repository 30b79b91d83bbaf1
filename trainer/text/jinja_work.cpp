#include "trainer/text/jinja_work.h"

#include "trainer/base/error.h"
#include "trainer/base/text.h"

namespace foresight::jinja {

void Work::refuse(const std::string& what) const {
  throw Error(ErrorKind::kInput, concat(file_, ": chat template, line ", line_, ": ", what));
}

void Work::spend(std::size_t count) {
  if (count > left_) refuse(concat("rendering takes more than ", budget_, " steps and bytes of text"));
  left_ -= count;
}

}  // namespace foresight::jinja
