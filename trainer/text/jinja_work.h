// The place in a template and the work still allowed, for all code that reads or renders the template.
#pragma once

#include <cstddef>
#include <string>

namespace foresight::jinja {

/// Place and budget. The budget stops templates that loop or double texts without end.
class Work {
 public:
  /// `file` is named in messages; `budget`: steps and bytes of text that may be made.
  Work(std::string file, std::size_t budget) : file_(std::move(file)), left_(budget), budget_(budget) {}

  /// The line that messages name from here on.
  void at(int line) { line_ = line; }
  /// Throws Error(kInput): "file: chat template, line N: what".
  [[noreturn]] void refuse(const std::string& what) const;
  /// Counts a step, or bytes that are made; refuses beyond the budget.
  void spend(std::size_t count = 1);

 private:
  std::string file_;
  std::size_t left_, budget_;
  int line_ = 1;
};

}  // namespace foresight::jinja
