// Standing orders for flows: "no more of it to me" and "drop it", for a number of packets or for
// ever.
//
// Bounded: the place of a flow is found by its hash, and another flow in the same place takes it.
// Who loses a place is diverted again, which is what would have happened without the order.

#pragma once

#include <cstdint>
#include <vector>

namespace masqgate::divert {

class FlowOrders {
 public:
  static constexpr std::size_t kPlaces = 16384;
  enum class Order : std::uint8_t { none, offload, block };

  struct Answer {
    Order order = Order::none;
    bool for_ever = false;
  };

  // Before the first order; no packet waits for memory.
  void prepare() { places_.resize(kPlaces); }
  void give(std::uint64_t flow, std::uint16_t port, Order order, std::uint32_t budget) {
    places_[place(flow)] = {flow, budget, port, order, budget == 0};
    ++given_;
  }
  // Uses up one packet of the budget.
  Answer ask(std::uint64_t flow, std::uint16_t port) {
    if (given_ == 0) return {};  // most programs never give one: no packet waits for that memory
    Place& at = places_[place(flow)];
    if (at.order == Order::none || at.flow != flow || at.port != port) return {};
    const Answer answer{at.order, at.for_ever};
    if (!at.for_ever && --at.budget == 0) at.order = Order::none;
    return answer;
  }
  void forget_port(std::uint16_t port) {
    for (Place& at : places_)
      if (at.port == port) at.order = Order::none;
  }
  std::uint64_t given() const { return given_; }

 private:
  struct Place {
    std::uint64_t flow = 0;
    std::uint32_t budget = 0;
    std::uint16_t port = 0;
    Order order = Order::none;
    bool for_ever = false;
  };
  static std::size_t place(std::uint64_t flow) {
    return static_cast<std::size_t>((flow * 0x9e3779b97f4a7c15) >> 32) % kPlaces;
  }
  std::vector<Place> places_;
  std::uint64_t given_ = 0;
};

}  // namespace masqgate::divert
