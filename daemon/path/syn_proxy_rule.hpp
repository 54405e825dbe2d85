// For whom the SYN proxy answers.

#pragma once

#include "daemon/nat/rules.hpp"

namespace masqgate::path {

// TCP clients that come in by this port to what the selector names.
struct SynProxyRule {
  PortIndex ingress = kNoPort;
  nat::Selector selector;
  friend bool operator==(const SynProxyRule&, const SynProxyRule&) = default;
};

}  // namespace masqgate::path
