// ip_dynaddr: what becomes of translated connections whose outside address went away (history 1.9).
//
//   value  unanswered connections  answered connections   log
//   0      keep the old address    keep the old address
//   1      move                    keep the old address
//   2      move                    keep the old address   each move
//   5      move                    move                            (the default)
//   7      move                    move                   each move
//
// The bits are those of Linux 2.0.34: 1 and 2 switch it on, 4 alone does nothing. Who moves begins
// anew behind the present address: a peer of TCP answers that with RST, so that the host inside
// connects again at once. Who keeps the old address is silent while the router does not have it:
// nothing ever leaves with an address that is no more ours. If the address comes back, all go on.

#pragma once

namespace masqgate::nat {

inline constexpr unsigned kDynaddrDefault = 5;

class Dynaddr {
 public:
  explicit constexpr Dynaddr(unsigned value = kDynaddrDefault) : value_{value} {}

  constexpr bool moves(bool answered) const {
    return (value_ & 3) != 0 && (!answered || (value_ & 4) != 0);
  }
  constexpr bool is_verbose() const { return (value_ & 2) != 0; }

 private:
  unsigned value_;
};

}  // namespace masqgate::nat
