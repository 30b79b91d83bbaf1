// Functions of chat templates; declared in jinja_functions.h.
#include <array>

#include "trainer/base/text.h"
#include "trainer/text/jinja_functions.h"

namespace foresight::jinja {

namespace {

constexpr std::size_t kMaxRange = 100000;  // as Jinja's sandbox has it

Value range(Arguments& arguments) {
  Work& work = arguments.work();
  const bool two = !arguments.rest(1).empty();
  const std::int64_t first = arguments.optional_integer(0, "start", 0);
  const std::int64_t end = two ? arguments.optional_integer(1, "stop", 0) : first;
  const std::int64_t step = arguments.optional_integer(2, "step", 1);
  arguments.done(3);
  if (step == 0) work.refuse("range() has a step of 0");
  List items;
  for (std::int64_t at = two ? first : 0; step > 0 ? at < end : at > end;) {
    if (items.size() >= kMaxRange) work.refuse(concat("range() has more than ", kMaxRange, " numbers"));
    items.push_back(Value::integer(at));
    if (__builtin_add_overflow(at, step, &at)) break;
  }
  work.spend(items.size());
  return Value::list(std::move(items), work);
}

Value time_text(const std::string& format, const std::tm& now, const Work& work) {
  if (format.size() > 256) work.refuse("strftime_now() has a format longer than 256 bytes");
  for (std::size_t at = format.find('%'); at != std::string::npos; at = format.find('%', at + 2)) {
    const char kind = at + 1 < format.size() ? format[at + 1] : ' ';
    if (std::string_view("aAbBdHIjmMpSyY%").find(kind) == std::string_view::npos) {
      work.refuse(concat("strftime_now() with %", one_line(std::string(1, kind)), " is not supported"));
    }
  }
  std::array<char, 8192> text{};  // no conversion makes more than 32 bytes of its two
  return Value::text({text.data(), std::strftime(text.data(), text.size(), format.c_str(), &now)});
}

}  // namespace

Value call_global(const std::string& name, Arguments&& arguments, const std::optional<std::tm>& now) {
  Work& work = arguments.work();
  if (name == "range") return range(arguments);
  if (name == "dict") {
    if (!arguments.rest(0).empty()) work.refuse("dict() of a value is not supported");
    return Value::dictionary(arguments.named(), work);
  }
  if (name == "strftime_now" && now) {
    const std::string format = arguments.required_text(0, "format");
    arguments.done(1);
    return time_text(format, *now, work);
  }
  work.refuse(concat("it refuses the messages: ", one_line(to_text(arguments.required(0, "message"), work))));
}

}  // namespace foresight::jinja
