// Files of the source tree, for tests that hold the program against its own documents. Meson tells
// where it is.

#pragma once

#include <cstdlib>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <string>

namespace masqgate::test {

inline std::string source_file(const std::string& path) {
  const char* root = std::getenv("MASQGATE_SOURCE");
  if (root == nullptr) throw std::runtime_error{"set MASQGATE_SOURCE to the source tree"};
  std::ifstream file{std::string{root} + "/" + path};
  if (!file) throw std::runtime_error{"cannot read " + path};
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

// The configuration that docs/configuration.md shows.
inline std::string example_document() {
  const std::string page = source_file("docs/configuration.md");
  const std::string fence = "```jsonc\n";
  const std::size_t start = page.find(fence) + fence.size();
  return page.substr(start, page.find("```", start) - start);
}

}  // namespace masqgate::test
