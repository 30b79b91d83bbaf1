// Filters, tests and methods of chat templates.
#pragma once

#include <ctime>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "trainer/text/jinja_value.h"

namespace foresight::jinja {

/// The arguments of a call. It remembers which named ones were read.
class Arguments {
 public:
  /// `callee` is how messages call what is called: "the filter join".
  Arguments(std::string callee, List positional, Dictionary named, Work& work)
      : callee_(std::move(callee)),
        positional_(std::move(positional)),
        named_(std::move(named)),
        work_(work) {}

  /// The argument at `place` or of that name, `absent` where it is not given.
  Value optional(std::size_t place, const char* name, const Value& absent);
  /// The same; refuses where it is not given.
  Value required(std::size_t place, const char* name);
  std::string required_text(std::size_t place, const char* name);
  std::int64_t optional_integer(std::size_t place, const char* name, std::int64_t absent);
  /// Refuses arguments beyond the first `places` and names that were not asked for.
  void done(std::size_t places) const;
  /// The positional arguments from `place` on.
  List rest(std::size_t place) const;
  const Dictionary& named() const { return named_; }
  Work& work() const { return work_; }
  const std::string& callee() const { return callee_; }

 private:
  std::string callee_;
  List positional_;
  Dictionary named_;
  std::vector<std::string> asked_;
  Work& work_;
};

/// input | name(arguments). Refuses unknown filters by name.
Value apply_filter(const std::string& name, const Value& input, Arguments&& arguments);
/// input is name(arguments).
bool apply_test(const std::string& name, const Value& input, Arguments&& arguments);
/// Whether text.name(...) or dictionary.name(...) can be called; other names are entries.
bool is_method(const Value& object, const std::string& name);
Value call_method(const Value& object, const std::string& name, Arguments&& arguments);

/// range(), dict(), raise_exception() and strftime_now(), which returns `now`.
Value call_global(const std::string& name, Arguments&& arguments, const std::optional<std::tm>& now);

}  // namespace foresight::jinja
