#include "daemon/control/undo_json.hpp"

#include "daemon/json/reader.hpp"

namespace masqgate::control {
namespace {

using json::Json;
using json::Value;

constexpr std::uint64_t kVersion = 1;

// Each kind of step is known by its first member.
struct Writer {
  Json operator()(const CreatedLink& step) const {
    Json out{{"created", step.link}};
    if (step.mac) out["mac"] = step.mac->text();
    return out;
  }
  Json operator()(const Enslaved& step) const {
    return {{"enslaved", step.link}, {"before", step.before}};
  }
  Json operator()(const SetMtu& step) const {
    return {{"mtu", step.link}, {"before", step.before}};
  }
  Json operator()(const SetUp& step) const { return {{"up", step.link}, {"before", step.before}}; }
  Json operator()(const SetSysctl& step) const {
    return {{"sysctl", step.path}, {"before", step.before}};
  }
  Json operator()(const Took& step) const {
    return saved("took", step.link, step.index, step.what);
  }
  Json operator()(const Gave& step) const {
    return saved("gave", step.link, step.index, step.what);
  }

 private:
  static Json saved(const char* what, const std::string& link, std::uint32_t index,
                    const netlink::Saved& saved) {
    return {{what, link}, {"index", index}, {"what", saved.text()}, {"message", saved.hex()}};
  }
};

std::uint32_t number(const Value& value) {
  return static_cast<std::uint32_t>(value.number(0, ~std::uint32_t{0}));
}

template <typename Given>
Step read_saved(const Value& link, const Value& step) {
  const Value message = step.at("message");
  auto saved = netlink::Saved::from_hex(message.text());
  if (!saved) message.refuse("is no address and no route");
  return Given{link.text(), number(step.at("index")), std::move(*saved)};
}

Step read_created(const Value& link, const Value& step) {
  const auto text = step.find("mac");
  if (!text) return CreatedLink{link.text(), std::nullopt};
  const auto mac = net::MacAddress::parse(text->text());
  if (!mac) text->refuse("is no MAC address");
  return CreatedLink{link.text(), mac};
}

Step read_step(const Value& step) {
  if (const auto link = step.find("created")) return read_created(*link, step);
  if (const auto link = step.find("enslaved"))
    return Enslaved{link->text(), step.at("before").text()};
  if (const auto link = step.find("mtu")) return SetMtu{link->text(), number(step.at("before"))};
  if (const auto link = step.find("up")) return SetUp{link->text(), step.at("before").boolean()};
  if (const auto path = step.find("sysctl"))
    return SetSysctl{path->text(), step.at("before").text()};
  if (const auto link = step.find("took")) return read_saved<Took>(*link, step);
  if (const auto link = step.find("gave")) return read_saved<Gave>(*link, step);
  step.refuse("is no step");
}

}  // namespace

std::string to_text(const Journal& journal) {
  Json steps = Json::array();
  for (const Step& step : journal.steps) steps.push_back(std::visit(Writer{}, step));
  const Json document{{"version", kVersion}, {"for", journal.purpose}, {"steps", steps}};
  return document.dump(1) + "\n";
}

Journal parse_journal(std::string_view text) {
  const Json document = Json::parse(text);
  const Value journal{document};
  journal.at("version").number(kVersion, kVersion);
  Journal out;
  out.purpose = journal.at("for").text();
  for (const Value& step : journal.at("steps").elements()) out.steps.push_back(read_step(step));
  return out;
}

}  // namespace masqgate::control
