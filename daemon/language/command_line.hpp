// What the command lines of ipchains and iptables have in common: one command with its chain and
// number, and how to list.

#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "daemon/language/words.hpp"

namespace masqgate::language {

struct ListOptions {
  bool numeric = false, verbose = false, exact = false, numbers = false;
};

struct CommandLine {
  char letter = 0;  // of the command; 0: none
  std::string chain;
  std::size_t number = 0;  // 0: none given
  bool zeroes = false;     // -Z, alone or with -L
  ListOptions list;
};

struct CommandWord {
  char letter;
  std::string_view name;
  bool needs_chain;
};

inline bool is_option(std::string_view word, std::string_view letter, std::string_view name) {
  return word == letter || word == name;
}

// The command that this word is, with its chain and number, read into line; its letter, or 0 if it
// is none of those that both languages have, nor of more. Throws Mistake.
char read_command(CommandLine& line, std::string_view word, Reader& words,
                  std::span<const CommandWord> more);
// -n, -v, -x, --line-numbers.
bool read_list_option(ListOptions& list, std::string_view word);

}  // namespace masqgate::language
