// A trace: which stages packets passed and what each said, as lines of text.

#pragma once

#include <string>
#include <vector>

#include "daemon/path/path.hpp"

namespace masqgate::path {

// Give one to Shard::set_trace() to have it filled; bounded, so that it can be forgotten there.
class Trace {
 public:
  static constexpr std::size_t kMost = 4096;  // lines

  void packet(std::string line) { add(std::move(line)); }
  void step(List list, const Stage& stage, Verdict verdict);
  void shortcut() { add("  shortcut: transmit"); }

  const std::vector<std::string>& lines() const { return lines_; }
  std::string text() const;
  void clear() { lines_.clear(); }

 private:
  void add(std::string line) {
    if (lines_.size() < kMost) lines_.push_back(std::move(line));
  }
  std::vector<std::string> lines_;
};

}  // namespace masqgate::path
