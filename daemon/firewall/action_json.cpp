#include "daemon/firewall/action_json.hpp"

#include <array>

#include "daemon/firewall/words.hpp"

namespace masqgate::firewall {
namespace {

constexpr std::array<std::pair<std::string_view, RejectWith>, 5> kRejects{
    {{"port_unreachable", RejectWith::port_unreachable},
     {"host", RejectWith::host},
     {"net", RejectWith::net},
     {"prohibited", RejectWith::prohibited},
     {"tcp_reset", RejectWith::tcp_reset}}};

// The words of an action: its name; read() where it has arguments, else the name stands alone.
template <typename A>
struct Words;

struct Context {
  const ChainPlaces* chains = nullptr;          // of reading
  const std::vector<Chain>* written = nullptr;  // of writing
};

template <>
struct Words<Accept> {
  static constexpr std::string_view kName = "accept";
};
template <>
struct Words<Drop> {
  static constexpr std::string_view kName = "drop";
};
template <>
struct Words<Return> {
  static constexpr std::string_view kName = "return";
};
template <>
struct Words<Continue> {
  static constexpr std::string_view kName = "continue";
};

// Alone it is the usual answer: "reject".
template <>
struct Words<Reject> {
  static constexpr std::string_view kName = "reject";
  static Reject read(const Value& value, Context) { return {value.word(words(kRejects))}; }
  static Json write(const Reject& action, Context) {
    return json::word_of(words(kRejects), action.with);
  }
  static bool is_plain(const Reject& action) { return action.with == Reject{}.with; }
};

template <>
struct Words<Jump> {
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
struct Words<SetMark> {
  static constexpr std::string_view kName = "mark";
  static SetMark read(const Value& value, Context) {
    return {read_mark(value, number_term(value, 0xffffffff).text)};
  }
  static Json write(const SetMark& action, Context) { return write_mark(action.bits); }
};

template <>
struct Words<SetConnMark> {
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

template <typename>
struct Language;
template <typename... A>
struct Language<std::variant<A...>> {
  static constexpr std::array<std::string_view, sizeof...(A)> kNames{Words<A>::kName...};

  template <typename One>
  static constexpr bool kHasArguments = requires(const One& one) {
    Words<One>::write(one, {});
  };
  // Reject may stand alone, too.
  template <typename One>
  static constexpr bool kMayStandAlone = !kHasArguments<One> || requires(const One& one) {
    Words<One>::is_plain(one);
  };

  static Action read_word(const Value& value) {
    std::optional<Action> action;
    std::string known;
    const auto try_one = [&]<typename One>(std::type_identity<One>) {
      if constexpr (kMayStandAlone<One>) {
        if (value.text() == Words<One>::kName) action = One{};
        known += (known.empty() ? "" : ", ") + std::string{Words<One>::kName};
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
        if (const auto argument = value.find(Words<One>::kName))
          action = Words<One>::read(*argument, context);
    };
    (try_one(std::type_identity<A>{}), ...);
    return *action;
  }

  template <typename One>
  static void add_name(std::vector<std::string_view>& names) {
    if constexpr (kHasArguments<One>) names.push_back(Words<One>::kName);
  }

  template <typename One>
  static Json write(const One& action, Context context) {
    const Json name(Words<One>::kName);
    if constexpr (!kHasArguments<One>) {
      return name;
    } else {
      if constexpr (kMayStandAlone<One>)
        if (Words<One>::is_plain(action)) return name;
      Json out = Json::object();
      out[std::string{Words<One>::kName}] = Words<One>::write(action, context);
      return out;
    }
  }
};
using Actions = Language<Action>;

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
