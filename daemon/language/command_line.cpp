#include "daemon/language/command_line.hpp"

#include <algorithm>
#include <array>

namespace masqgate::language {
namespace {

[[noreturn]] void bad(const std::string& sentence) {
  throw Mistake{2, sentence};
}

constexpr std::array<CommandWord, 10> kCommands{{{'A', "--append", true},
                                                 {'D', "--delete", true},
                                                 {'R', "--replace", true},
                                                 {'I', "--insert", true},
                                                 {'L', "--list", false},
                                                 {'F', "--flush", false},
                                                 {'Z', "--zero", false},
                                                 {'N', "--new-chain", true},
                                                 {'X', "--delete-chain", false},
                                                 {'P', "--policy", true}}};

const CommandWord* find(std::span<const CommandWord> all, std::string_view word) {
  const auto found = std::ranges::find_if(all, [&](const CommandWord& known) {
    return is_option(word, std::string{'-', known.letter}, known.name);
  });
  return found == all.end() ? nullptr : &*found;
}

// Only -L and -Z go together: what is listed begins anew.
void set_letter(CommandLine& line, char letter) {
  const bool lists_and_zeroes =
      (letter == 'Z' && line.letter == 'L') || (letter == 'L' && line.letter == 'Z');
  if (line.letter != 0 && !lists_and_zeroes)
    bad(std::string{"can't use -"} + letter + " with -" + line.letter);
  line.zeroes = line.zeroes || letter == 'Z';
  line.letter = lists_and_zeroes ? 'L' : letter;
}

void set_chain(CommandLine& line, const std::string& chain) {
  if (!line.chain.empty() && line.chain != chain)
    bad("-L and -Z of different chains: `" + line.chain + "' and `" + chain + "'");
  line.chain = chain;
}

void read_number(CommandLine& line, Reader& words) {
  const std::string& word = words.next("a rule number");
  const auto value = number(word);
  if (!value || *value == 0) bad("invalid rule number `" + word + "' specified");
  line.number = *value;
}

}  // namespace

char read_command(CommandLine& line, std::string_view word, Reader& words,
                  std::span<const CommandWord> more) {
  const CommandWord* known = find(kCommands, word);
  if (known == nullptr) known = find(more, word);
  if (known == nullptr) return 0;
  set_letter(line, known->letter);
  if (known->needs_chain || words.argument_follows()) set_chain(line, words.next("a chain"));
  const bool numbered = known->letter == 'D' || known->letter == 'R' || known->letter == 'I';
  const bool number_follows = numbered && words.argument_follows() && words.peek() != "!";
  if (number_follows || known->letter == 'R') read_number(line, words);
  return known->letter;
}

bool read_list_option(ListOptions& list, std::string_view word) {
  if (is_option(word, "-n", "--numeric")) return list.numeric = true;
  if (is_option(word, "-v", "--verbose")) return list.verbose = true;
  if (is_option(word, "-x", "--exact")) return list.exact = true;
  return word == "--line-numbers" && (list.numbers = true);
}

}  // namespace masqgate::language
