// A network namespace for one test case, and the real `ip` in it.

#pragma once

#include <functional>
#include <string>

namespace masqgate::test {

// Moves this process into a fresh network namespace with lo up; the old one goes with its last
// user. So a test case that begins with one of these sees nothing of the others or of the host.
class Namespace {
 public:
  Namespace();
};

// Runs a shell command; a failure fails the test case.
void run(const std::string& command);
// Its standard output.
std::string output(const std::string& command);
// The index of a link that must exist.
unsigned index_of(const std::string& link);
// A pair of veth ends, both up.
void make_veth(const std::string& one, const std::string& other);
// Asks again until it is so, for ten seconds at most.
bool eventually(const std::function<bool()>& condition);

}  // namespace masqgate::test
