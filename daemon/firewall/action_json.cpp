#include "daemon/firewall/action_json.hpp"

#include <algorithm>
#include <array>

#include "daemon/firewall/rate_json.hpp"
#include "daemon/firewall/words.hpp"

namespace masqgate::firewall {
namespace {

constexpr RejectWith unreachable(std::uint8_t v4, std::uint8_t v6) {
  return {RejectWith::Kind::unreachable, v4, v6};
}

// The codes of ICMP; ICMPv6 has fewer, the nearest of which is told.
constexpr std::array<std::pair<std::string_view, RejectWith>, 10> kRejects{
    {{"port_unreachable", unreachable(3, 4)},
     {"host", unreachable(1, 3)},
     {"net", unreachable(0, 0)},
     {"protocol", unreachable(2, 4)},
     {"prohibited", unreachable(13, 1)},
     {"net_prohibited", unreachable(9, 1)},
     {"host_prohibited", unreachable(10, 1)},
     {"policy", unreachable(13, 5)},
     {"tcp_reset", {RejectWith::Kind::tcp_reset}},
     {"classic", {RejectWith::Kind::classic}}}};

constexpr std::uint8_t kLastCodeV4 = 15, kLastCodeV6 = 6;

// The words of an action: its name; read() where it has arguments, else the name stands alone.
template <typename A>
struct ActionWords;

struct Context {
  const ChainPlaces* chains = nullptr;          // of reading
  const std::vector<Chain>* written = nullptr;  // of writing
};

template <>
struct ActionWords<Accept> {
  static constexpr std::string_view kName = "accept";
};
template <>
struct ActionWords<Drop> {
  static constexpr std::string_view kName = "drop";
};
template <>
struct ActionWords<Return> {
  static constexpr std::string_view kName = "return";
};
template <>
struct ActionWords<Mirror> {
  static constexpr std::string_view kName = "mirror";
};
template <>
struct ActionWords<NoTrack> {
  static constexpr std::string_view kName = "notrack";
};
template <>
struct ActionWords<Continue> {
  static constexpr std::string_view kName = "continue";
};

// Alone it is the usual answer: "reject".
template <>
struct ActionWords<Reject> {
  static constexpr std::string_view kName = "reject";
  // A word, or the code itself: one number for ICMP, for ICMPv6 too where it has so many.
  static Reject read(const Value& value, Context) {
    if (!value.json().is_number()) return {value.word(words(kRejects))};
    const auto code = static_cast<std::uint8_t>(value.number(0, kLastCodeV4));
    return {unreachable(code, code <= kLastCodeV6 ? code : 1)};
  }
  static Json write(const Reject& action, Context) {
    const std::string_view word = json::word_of(words(kRejects), action.with);
    return word.empty() ? Json(action.with.v4) : Json(word);
  }
  static bool is_plain(const Reject& action) { return action.with == Reject{}.with; }
};

template <>
struct ActionWords<Jump> {
  static constexpr std::string_view kName = "jump";
  static Jump read(const Value& value, Context context) {
    const auto target = context.chains->find(value.text());
    if (target == context.chains->end())
      value.refuse("there is no chain " + Value::quoted(value.text()) + " in \"firewall\"");
    return {static_cast<ChainIndex>(target->second)};
  }
  static Json write(const Jump& action, Context context) {
    return (*context.written)[action.target].name;
  }
};

template <>
struct ActionWords<SetMark> {
  static constexpr std::string_view kName = "mark";
  static SetMark read(const Value& value, Context) {
    return {read_mark(value, number_term(value, 0xffffffff).text)};
  }
  static Json write(const SetMark& action, Context) { return write_mark(action.bits); }
};

template <>
struct ActionWords<SetConnMark> {
  static constexpr std::string_view kName = "connmark";
  static constexpr std::array<std::pair<std::string_view, SetConnMark::Kind>, 2> kKinds{
      {{"save", SetConnMark::Kind::save}, {"restore", SetConnMark::Kind::restore}}};

  // A mark, or "save" or "restore" with or without a mask behind a slash.
  static SetConnMark read(const Value& value, Context) {
    const std::string text = number_term(value, 0xffffffff).text;
    for (const auto& [word, kind] : kKinds) {
      if (text == word) return {kind, {}};
      if (text.starts_with(std::string{word} + "/"))
        return {kind, {0, read_number(value, text.substr(word.size() + 1), 0xffffffff)}};
    }
    return {SetConnMark::Kind::set, read_mark(value, text)};
  }
  static Json write(const SetConnMark& action, Context) {
    if (action.kind == SetConnMark::Kind::set) return write_mark(action.bits);
    const std::string word{json::word_of(words(kKinds), action.kind)};
    return action.bits.mask == MarkBits{}.mask ? word : word + "/" + hexadecimal(action.bits.mask);
  }
};

constexpr std::array<std::pair<std::string_view, std::uint8_t>, 8> kLevels{{{"emergency", 0},
                                                                            {"alert", 1},
                                                                            {"critical", 2},
                                                                            {"error", 3},
                                                                            {"warning", 4},
                                                                            {"notice", 5},
                                                                            {"info", 6},
                                                                            {"debug", 7}}};

constexpr std::array<std::pair<std::string_view, Log::Format>, 3> kFormats{
    {{"plain", Log::Format::plain},
     {"ipchains", Log::Format::ipchains},
     {"iptables", Log::Format::iptables}}};

// Alone, or an object that says how.
template <>
struct ActionWords<Log> {
  static constexpr std::string_view kName = "log";
  static Log read(const Value& value, Context) {
    value.allow({"prefix", "format", "level", "rate", "burst"});
    Log action;
    if (const auto prefix = value.find("prefix")) {
      action.prefix = prefix->text();
      const auto is_plain = [](unsigned char c) { return c >= 0x20 && c != 0x7f; };
      if (action.prefix.size() > Log::kMostPrefix || !std::ranges::all_of(action.prefix, is_plain))
        prefix->refuse("must be at most 64 bytes without control characters");
    }
    if (const auto format = value.find("format")) action.format = format->word(words(kFormats));
    if (const auto level = value.find("level")) action.level = level->word(words(kLevels));
    if (const auto rate = value.find("rate")) {
      const std::uint32_t burst = action.rate.burst;
      action.rate = read_rate(*rate, rate->text());
      action.rate.burst = burst;
    }
    read_burst(value, action.rate);
    return action;
  }
  static Json write(const Log& action, Context) {
    return {{"prefix", action.prefix},
            {"format", json::word_of(words(kFormats), action.format)},
            {"level", json::word_of(words(kLevels), action.level)},
            {"rate", write_rate(action.rate)},
            {"burst", action.rate.burst}};
  }
  static bool is_plain(const Log&) { return false; }
};

template <>
struct ActionWords<SetTos> {
  static constexpr std::string_view kName = "tos";
  static SetTos read(const Value& value, Context) {
    const auto [bits, mask] = read_byte_bits(value, number_term(value, 255).text);
    return {bits, mask};
  }
  static Json write(const SetTos& action, Context) {
    return write_byte_bits(action.value, action.mask);
  }
};

template <>
struct ActionWords<SetDscp> {
  static constexpr std::string_view kName = "dscp";
  static SetDscp read(const Value& value, Context) {
    return {static_cast<std::uint8_t>(value.number(0, 63))};
  }
  static Json write(const SetDscp& action, Context) { return action.value; }
};

// A number to set, or "+1" or "-1".
template <>
struct ActionWords<SetTtl> {
  static constexpr std::string_view kName = "ttl";
  static SetTtl read(const Value& value, Context) {
    using Kind = SetTtl::Kind;
    const std::string text = number_term(value, 255).text;
    const bool is_sum = text.starts_with('+'), is_difference = text.starts_with('-');
    const std::string_view digits = std::string_view{text}.substr(is_sum || is_difference ? 1 : 0);
    const auto number = static_cast<std::uint8_t>(read_number(value, digits, 255));
    if (number == 0) value.refuse("0 is no TTL that a router may send, and no change");
    return {is_sum ? Kind::add : is_difference ? Kind::subtract : Kind::set, number};
  }
  static Json write(const SetTtl& action, Context) {
    using Kind = SetTtl::Kind;
    if (action.kind == Kind::set) return action.value;
    return (action.kind == Kind::add ? "+" : "-") + std::to_string(action.value);
  }
};

// A number, or "clamp".
template <>
struct ActionWords<SetTcpMss> {
  static constexpr std::string_view kName = "tcp_mss";
  static SetTcpMss read(const Value& value, Context) {
    if (value.json().is_number()) return {static_cast<std::uint16_t>(value.number(88, 65535))};
    if (value.text() != "clamp")
      value.refuse(Value::quoted(value.text()) + " is neither \"clamp\" nor a number from 88");
    return {};
  }
  static Json write(const SetTcpMss& action, Context) {
    return action.mss == 0 ? Json("clamp") : Json(action.mss);
  }
};

// A port, or an object with the port and what differs from the defaults.
struct DivertWords {
  template <typename Word>
  using Table = std::array<std::pair<std::string_view, Word>, 3>;
  static constexpr std::array<std::pair<std::string_view, divert::Nobody>, 4> kNobody{
      {{"drop", divert::Nobody::drop},
       {"pass", divert::Nobody::pass},
       {"reject", divert::Nobody::reject},
       {"hold", divert::Nobody::hold}}};
  static constexpr Table<divert::Full> kFull{{{"drop", divert::Full::drop},
                                              {"drop_oldest", divert::Full::drop_oldest},
                                              {"pass", divert::Full::pass}}};
  static constexpr std::array<std::pair<std::string_view, divert::Late>, 2> kLate{
      {{"drop", divert::Late::drop}, {"pass", divert::Late::pass}}};
  static constexpr Table<divert::Death> kDeath{{{"redeliver", divert::Death::redeliver},
                                                {"drop", divert::Death::drop},
                                                {"pass", divert::Death::pass}}};
  static constexpr Table<divert::View> kView{{{"chain", divert::View::chain},
                                              {"before", divert::View::before},
                                              {"after", divert::View::after}}};

  // What copies may have, too.
  static void read_common(const Value& value, divert::Terms& terms) {
    terms.port = static_cast<std::uint16_t>(value.at("port").number(1, 65535));
    if (const auto one = value.find("view")) terms.view = one->word(words(kView));
    if (const auto one = value.find("defragment")) terms.defragment = one->boolean();
    if (const auto one = value.find("first"))
      terms.first = static_cast<std::uint32_t>(one->number(1, 0xffffffff));
  }
  static Json write_common(const divert::Terms& terms) {
    Json out{{"port", terms.port}};
    if (terms.view != divert::View::chain) out["view"] = json::word_of(words(kView), terms.view);
    if (terms.defragment) out["defragment"] = true;
    if (terms.first != 0) out["first"] = terms.first;
    return out;
  }

  static divert::Terms read(const Value& value) {
    divert::Terms terms;
    if (value.json().is_number()) {
      terms.port = static_cast<std::uint16_t>(value.number(1, 65535));
      return terms;
    }
    value.allow({"port", "nobody", "full", "late", "death", "deadline_ms", "grace_ms", "first",
                 "view", "defragment", "allow_own"});
    read_common(value, terms);
    if (const auto one = value.find("nobody")) terms.nobody = one->word(words(kNobody));
    if (const auto one = value.find("full")) terms.full = one->word(words(kFull));
    if (const auto one = value.find("late")) terms.late = one->word(words(kLate));
    if (const auto one = value.find("death")) terms.death = one->word(words(kDeath));
    const auto number = [&](const char* name, std::uint32_t& to, std::uint32_t least,
                            std::uint32_t most) {
      if (const auto one = value.find(name))
        to = static_cast<std::uint32_t>(one->number(least, most));
    };
    number("deadline_ms", terms.deadline_ms, 50, 30000);
    number("grace_ms", terms.grace_ms, 0, 30000);
    if (const auto one = value.find("allow_own")) terms.allow_own = one->boolean();
    return terms;
  }

  static Json write(const divert::Terms& terms) {
    const divert::Terms usual{.port = terms.port};
    if (terms == usual) return terms.port;
    Json out = write_common(terms);
    if (terms.nobody != usual.nobody) out["nobody"] = json::word_of(words(kNobody), terms.nobody);
    if (terms.full != usual.full) out["full"] = json::word_of(words(kFull), terms.full);
    if (terms.late != usual.late) out["late"] = json::word_of(words(kLate), terms.late);
    if (terms.death != usual.death) out["death"] = json::word_of(words(kDeath), terms.death);
    if (terms.deadline_ms != usual.deadline_ms) out["deadline_ms"] = terms.deadline_ms;
    if (terms.grace_ms != usual.grace_ms) out["grace_ms"] = terms.grace_ms;
    if (terms.allow_own) out["allow_own"] = true;
    return out;
  }
};

template <>
struct ActionWords<Divert> {
  static constexpr std::string_view kName = "divert";
  static Divert read(const Value& value, Context) { return {DivertWords::read(value)}; }
  static Json write(const Divert& action, Context) { return DivertWords::write(action.terms); }
};

// A copy has nothing to wait for.
template <>
struct ActionWords<Tee> {
  static constexpr std::string_view kName = "tee";
  static Tee read(const Value& value, Context) {
    if (value.json().is_number())
      return {{.port = static_cast<std::uint16_t>(value.number(1, 65535))}};
    value.allow({"port", "first", "view", "defragment"});
    Tee tee;
    DivertWords::read_common(value, tee.terms);
    return tee;
  }
  static Json write(const Tee& action, Context) {
    const divert::Terms usual{.port = action.terms.port};
    return action.terms == usual ? Json(usual.port) : DivertWords::write_common(action.terms);
  }
};

template <typename>
struct ActionLanguage;
template <typename... A>
struct ActionLanguage<std::variant<A...>> {
  static constexpr std::array<std::string_view, sizeof...(A)> kNames{ActionWords<A>::kName...};

  template <typename One>
  static constexpr bool kHasArguments = requires(const One& one) {
    ActionWords<One>::write(one, {});
  };
  // Reject may stand alone, too.
  template <typename One>
  static constexpr bool kMayStandAlone = !kHasArguments<One> || requires(const One& one) {
    ActionWords<One>::is_plain(one);
  };

  static Action read_word(const Value& value) {
    std::optional<Action> action;
    std::string known;
    const auto try_one = [&]<typename One>(std::type_identity<One>) {
      if constexpr (kMayStandAlone<One>) {
        if (value.text() == ActionWords<One>::kName) action = One{};
        known += (known.empty() ? "" : ", ") + std::string{ActionWords<One>::kName};
      }
    };
    (try_one(std::type_identity<A>{}), ...);
    if (!action) value.refuse(Value::quoted(value.text()) + " is none of: " + known);
    return *action;
  }

  static Action read_object(const Value& value, Context context) {
    std::vector<std::string_view> names;
    (add_name<A>(names), ...);
    value.allow(names);
    if (value.members().size() != 1) {
      std::string known;
      for (const std::string_view name : names)
        known += (known.empty() ? "" : ", ") + std::string{name};
      value.refuse("must have one member, which is one of: " + known);
    }
    std::optional<Action> action;
    const auto try_one = [&]<typename One>(std::type_identity<One>) {
      if constexpr (kHasArguments<One>)
        if (const auto argument = value.find(ActionWords<One>::kName))
          action = ActionWords<One>::read(*argument, context);
    };
    (try_one(std::type_identity<A>{}), ...);
    return *action;
  }

  template <typename One>
  static void add_name(std::vector<std::string_view>& names) {
    if constexpr (kHasArguments<One>) names.push_back(ActionWords<One>::kName);
  }

  template <typename One>
  static Json write(const One& action, Context context) {
    const Json name(ActionWords<One>::kName);
    if constexpr (!kHasArguments<One>) {
      return name;
    } else {
      if constexpr (kMayStandAlone<One>)
        if (ActionWords<One>::is_plain(action)) return name;
      Json out = Json::object();
      out[std::string{ActionWords<One>::kName}] = ActionWords<One>::write(action, context);
      return out;
    }
  }
};
using Actions = ActionLanguage<Action>;

}  // namespace

Action read_action(const Value& value, const ChainPlaces& chains) {
  if (value.json().is_string()) return Actions::read_word(value);
  return Actions::read_object(value, {&chains, nullptr});
}

Json write_action(const Action& action, const std::vector<Chain>& chains) {
  return std::visit(
      [&](const auto& one) {
        return Actions::write(one, {nullptr, &chains});
      },
      action);
}

}  // namespace masqgate::firewall
