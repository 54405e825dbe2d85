#include "daemon/control/router.hpp"

#include <algorithm>
#include <array>
#include <cstdio>

#include "daemon/base/log.hpp"
#include "daemon/base/random.hpp"
#include "daemon/path/overlaps.hpp"

namespace masqgate::control {
namespace {

using state::Json;

PortPlan plan_of(const PortConfig& port) {
  PortPlan plan;
  plan.name = port.name;
  plan.mac = port.mac;
  plan.mtu = port.mtu;
  plan.addresses = port.addresses;
  plan.inherit = port.inherit;
  switch (port.attachment) {
    case Attachment::nics:
      plan.kind = PortPlan::Kind::nics;
      plan.nics = port.devices;
      break;
    case Attachment::bridge:
      plan.kind = PortPlan::Kind::bridge;
      plan.bridge = port.devices.front();
      break;
    case Attachment::tap:
      plan.kind = PortPlan::Kind::tap;
      plan.device = port.devices.front();
      break;
    case Attachment::tun:
      plan.kind = PortPlan::Kind::tun;
      plan.device = port.devices.front();
      break;
  }
  return plan;
}

[[noreturn]] void refuse(const std::string& pointer, const std::string& what) {
  throw state::Error(state::Problem::invalid, what, pointer);
}

void log_all(log::Level level, const std::vector<std::string>& sentences) {
  for (const std::string& sentence : sentences) log::write(level, sentence);
}

// Another one at each start.
std::string start_name() {
  std::array<char, 9> text{};
  std::snprintf(text.data(), text.size(), "%08x", static_cast<unsigned>(random_key().first));
  return text.data();
}

Json changed_members(const Config& before, const Config& after) {
  const Json one = to_json(before), other = to_json(after);
  Json members = Json::array();
  for (const auto& [name, value] : other.items())
    if (one.value(name, Json{}) != value) members.push_back(name);
  for (const auto& [name, value] : one.items())
    if (!other.contains(name)) members.push_back(name);
  return members;
}

// The document without the part of its ports that can change at any time.
state::Json what_stays(const Config& config) {
  state::Json document = to_json(config);
  for (state::Json& port : document["ports"]) port.erase("source_validation");
  return document;
}

}  // namespace

Router::Router(asio::io_context& context, Config config, std::function<void()> on_ready)
    : context_{context},
      config_{std::move(config)},
      on_ready_{std::move(on_ready)},
      events_{std::make_shared<state::Events>(start_name())},
      host_{config_.runtime + "/undo.json", commands_} {
  events_->declare("config.changed", "Another configuration is in force.");
  std::vector<PortPlan> plans;
  std::ranges::transform(config_.ports, std::back_inserter(plans), plan_of);
  log_all(log::Level::notice, host_.prepare(std::move(plans)));
  try {
    open_devices();
    host_.bring_up();
    add_routes();
    start_shard();
  } catch (...) {
    kernel_.reset();
    divert_door_.reset();
    loop_.reset();
    devices_.clear();
    log_all(log::Level::warning, host_.take_down());
    throw;
  }
}

Router::~Router() {
  log_all(log::Level::warning, stop());
}

std::vector<std::string> Router::stop() {
  if (std::exchange(stopped_, true)) return {};
  divert_door_.reset();
  loop_->stop();  // from here on nobody asks
  end_diverting();
  asker_.kernel = nullptr;
  kernel_.reset();
  close_devices();
  return host_.take_down();
}

// Whoever was asked about them answers no more.
void Router::end_diverting() {
  const bool pass = config_.divert.pass_at_stop;
  const std::size_t count = shard_->diverting().end(pass, BootClock::now());
  if (count != 0)
    log::notice(pass ? "diverted packets went on because masqgate stops"
                     : "diverted packets were dropped because masqgate stops",
                {{"PACKETS", std::to_string(count)}});
}

// A bare device may have been given to another namespace, where nobody but its descriptor ends it.
void Router::close_devices() {
  for (std::size_t i = 0; i < devices_.size(); ++i)
    if (!netlink::find_link(network_side_of(config_.ports[i])))
      devices_[i].network.front().set_persistent(false);
  devices_.clear();
}

void Router::open_devices() {
  for (std::size_t i = 0; i < config_.ports.size(); ++i) {
    const PortConfig& port = config_.ports[i];
    const auto kind =
        port.attachment == Attachment::tun ? port::DeviceKind::tun : port::DeviceKind::tap;
    try {
      PortDevices devices;
      devices.network = port::open_device({network_side_of(port), kind, port.queues});
      devices.host = port::open_device({port.name, kind, port.queues});
      devices_.push_back(std::move(devices));
    } catch (const std::system_error& error) {
      throw state::Error(state::Problem::unavailable, error.what(), "/ports/" + port.name);
    }
  }
}

void Router::start_shard() {
  const path::ShardOptions options{.region = config_.runtime + "/connections.0",
                                   .max_connections = config_.conntrack.max,
                                   .frames = config_.shard.frames,
                                   .divert = {.packets = config_.divert.packets,
                                              .bytes = config_.divert.bytes,
                                              .port_packets = config_.divert.packets,
                                              .port_bytes = config_.divert.bytes}};
  shard_ = std::make_unique<path::Shard>(options, random_key(), asker_, BootClock::now());
  shard_->set_owners(&owners_);
  report_region();
  loop_ = std::make_unique<path::Loop>(*shard_, std::chrono::microseconds{config_.shard.spin_us});
  for (std::size_t i = 0; i < devices_.size(); ++i) {
    const auto port = static_cast<PortIndex>(i);
    const auto attach = [&](Side side, std::vector<port::DeviceQueue>& queues) {
      shard_->attach(port, side, &queues.front());
      for (port::DeviceQueue& queue : queues) loop_->watch(port, side, queue);
    };
    attach(Side::network, devices_[i].network);
    attach(Side::host, devices_[i].host);
  }
  if (const int problem = loop_->start(config_.shard.nice); problem != 0)
    log::notice("the packet thread may not go before others and runs as they do",
                {{"NICE", std::to_string(config_.shard.nice)},
                 {"REASON", std::generic_category().message(problem)}});
  kernel_ = std::make_unique<KernelSync>(
      context_, port_names(config_),
      KernelSync::Handlers{
          .on_view = [this](const KernelView&) { publish_policy(); },
          .on_neighbour = [this](const KernelSync::NeighbourNews& news) { on_neighbour(news); },
          .on_neighbours_lost =
              [this] { shard().tell([](path::Shard& shard) { shard.forget_neighbours(); }); },
          .on_link =
              [this](const netlink::Link& link) {
                if (const auto sentence = host_.on_link(link)) log::notice(*sentence);
              }});
  asker_.kernel = kernel_.get();
  publish_divert_settings();
  divert_door_ = std::make_unique<DivertDoor>(context_, config_.runtime + "/divert.sock", *loop_);
}

void Router::publish_divert_settings() {
  auto access = std::make_shared<divert::Access>();
  access->rules = config_.divert.access;
  shard().tell([access = std::shared_ptr<const divert::Access>{std::move(access)},
                hops = config_.divert.hops](path::Shard& shard) {
    shard.diverting().desk().set_access(access);
    shard.diverting().desk().set_most_hops(hops);
  });
}

void Router::report_region() const {
  const conntrack::Region& region = shard_->connections().region();
  if (!region.set_aside().empty())
    log::warning("set aside a connection table that cannot be used: " + region.why_set_aside(),
                 {{"FILE", region.set_aside()}});
  if (region.adopted())
    log::notice("took over " + std::to_string(shard_->connections().size()) + " connections");
}

void Router::add_routes() {
  for (std::size_t i = 0; i < config_.routes.size(); ++i) {
    const RouteConfig& route = config_.routes[i];
    netlink::Route wanted;
    wanted.destination = route.to;
    wanted.metric = route.metric.value_or(0);
    wanted.table = route.table.value_or(netlink::kTableMain);
    netlink::NextHop hop;
    hop.gateway = route.via;
    if (route.port) {
      const auto link = netlink::find_link(config_.ports[*route.port].name);
      if (link) hop.ifindex = link->index;
    }
    wanted.next_hops = {hop};
    try {
      host_.add_route(wanted);
    } catch (const netlink::CommandError& error) {
      refuse("/routes/" + std::to_string(i), error.what());
    }
  }
}

void Router::on_neighbour(const KernelSync::NeighbourNews& news) {
  shard().tell([news](path::Shard& shard) {
    shard.update_neighbour(news.port, news.address, news.mac, news.state, BootClock::now());
  });
}

void Router::report_overlaps() {
  std::vector<std::string> now = path::overlaps(kernel_->view().ports);
  if (now == overlaps_) return;
  log_all(log::Level::warning, now);
  overlaps_ = std::move(now);
}

std::shared_ptr<const path::Policy> Router::policy_of(const Config& config) const {
  auto policy = std::make_shared<path::Policy>();
  policy->ruleset = config.firewall;
  policy->routes = kernel_->view().routes;
  policy->ports = kernel_->view().ports;
  policy->nat = nat_rules(config);
  policy->timeouts = timeouts_of(config.conntrack);
  policy->rule_timeouts = rule_timeouts(config);
  policy->limits = config.limits;
  policy->helpers = config.helpers;
  policy->syn_proxy = config.syn_proxy;
  policy->forwarding = config.ip_forward;
  policy->always_defragment = config.ip_always_defrag;
  policy->management = config.divert.management;
  policy->dynaddr = nat::Dynaddr{config.ip_dynaddr};
  for (PortIndex i = 0; i < policy->ports.size() && i < config.ports.size(); ++i)
    policy->ports[i].source_validation =
        config.ports[i].source_validation.value_or(policy->usual_source_validation(i));
  return policy;
}

void Router::publish_policy() {
  report_overlaps();
  shard().tell([policy = policy_of(config_)](path::Shard& shard) { shard.set_policy(policy); });
  if (!std::exchange(ready_, true)) on_ready_();
}

void Router::refuse_what_needs_a_restart(const Config& next) const {
  const state::Json before = what_stays(config_), after = what_stays(next);
  for (const char* member : {"runtime", "ports", "routes", "shard", "api", "tree"})
    if (before.value(member, state::Json{}) != after.value(member, state::Json{}))
      refuse(std::string{"/"} + member,
             "cannot change while masqgated runs: write it to the configuration file and restart");
  if (config_.divert.packets != next.divert.packets || config_.divert.bytes != next.divert.bytes)
    refuse("/divert",
           "sizes cannot change while masqgated runs: write them to the file and restart");
  if (config_.conntrack.max != next.conntrack.max)
    refuse("/conntrack/max",
           "cannot change while masqgated runs: write it to the configuration file and restart");
}

Config Router::read(const state::Json& document) const {
  return from_json(document, config_.runtime, config_.sets);
}

void Router::check(const Config& next) const {
  refuse_what_needs_a_restart(next);
}

void Router::apply(Config next) {
  refuse_what_needs_a_restart(next);
  events_->publish("config.changed", Json{{"members", changed_members(config_, next)}});
  config_ = std::move(next);
  publish_divert_settings();
  publish_policy();
}

}  // namespace masqgate::control
