#include "daemon/firewall/match_json.hpp"

#include <array>
#include <type_traits>

#include "daemon/firewall/words_basic.hpp"
#include "daemon/firewall/words_counting.hpp"
#include "daemon/firewall/words_divert.hpp"
#include "daemon/firewall/words_header.hpp"
#include "daemon/firewall/words_owner.hpp"
#include "daemon/firewall/words_set.hpp"

namespace masqgate::firewall {
namespace {

// All matches of the language, in its order.
template <typename>
struct Language;
template <typename... M>
struct Language<std::variant<M...>> {
  static constexpr std::array<std::string_view, sizeof...(M)> kMembers{Words<M>::kMember...};

  static std::vector<Match> read(const Value& rule, PortNames ports) {
    std::vector<Match> matches;
    const auto read_one = [&]<typename One>(std::type_identity<One>) {
      if (const auto value = rule.find(Words<One>::kMember))
        matches.emplace_back(Words<One>::read(*value, ports));
    };
    (read_one(std::type_identity<M>{}), ...);
    return matches;
  }
};
using Matches = Language<Match>;

}  // namespace

std::span<const std::string_view> match_members() {
  return Matches::kMembers;
}

std::string_view member_of(const Match& match) {
  return Matches::kMembers[match.index()];
}

std::vector<Match> read_matches(const Value& rule, PortNames ports) {
  return Matches::read(rule, ports);
}

Json write_match(const Match& match, PortNames ports) {
  return std::visit([&]<typename M>(const M& one) -> Json { return Words<M>::write(one, ports); },
                    match);
}

}  // namespace masqgate::firewall
