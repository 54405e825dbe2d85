// Changes of one message that are found in any order, and made from its beginning to its end.

#pragma once

#include <algorithm>
#include <string>

#include "daemon/helper/helper.hpp"
#include "daemon/helper/text.hpp"

namespace masqgate::helper {

class Edits {
 public:
  static constexpr std::size_t kMost = 48;

  explicit Edits(Context& context) : context_{context} {}

  // part: of the message. What is too many stays as it is, and so does all the rest.
  void add(std::string_view part, std::string text) {
    if (part == text) return;
    if (count_ == kMost) {
      overflows_ = true;
      return;
    }
    growth_ += text.size() - part.size();
    const auto offset =
        static_cast<std::size_t>(part.data() - characters(context_.message()).data());
    edits_[count_++] = {offset, part.size(), std::move(text)};
  }
  // What the message has grown by so far, modulo 2^64.
  std::size_t growth() const { return growth_; }

  // False, and nothing is changed, if there are too many or the result is too long.
  bool apply() {
    if (overflows_ || context_.message().size() + growth_ > Context::kMostText) return false;
    const auto end = edits_.begin() + static_cast<std::ptrdiff_t>(count_);
    std::sort(edits_.begin(), end,
              [](const Edit& a, const Edit& b) { return a.offset < b.offset; });
    for (auto edit = edits_.begin(); edit != end; ++edit)
      if (!context_.replace(edit->offset, edit->size, edit->text)) return false;
    return true;
  }

 private:
  struct Edit {
    std::size_t offset = 0, size = 0;
    std::string text;
  };

  Context& context_;
  std::array<Edit, kMost> edits_;
  std::size_t count_ = 0, growth_ = 0;
  bool overflows_ = false;
};

}  // namespace masqgate::helper
