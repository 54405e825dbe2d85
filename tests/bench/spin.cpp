// Keeps one CPU of a virtual machine out of its idle state without taking time from anybody
// (SCHED_IDLE).

#include <sched.h>
#include <sys/prctl.h>

#include <csignal>

#include "tests/bench/tool.hpp"

int main(int count, char** words) {
  using namespace masqgate::bench;
  const Arguments arguments{count, words, 1, "spin CPU"};
  sure(prctl(PR_SET_PDEATHSIG, SIGKILL), "prctl");
  cpu_set_t cpus;
  CPU_ZERO(&cpus);
  CPU_SET(static_cast<std::size_t>(arguments.count(0)), &cpus);
  sure(sched_setaffinity(0, sizeof cpus, &cpus), "sched_setaffinity");
  const sched_param parameters{};
  sure(sched_setscheduler(0, SCHED_IDLE, &parameters), "sched_setscheduler");
  for (volatile unsigned turns = 0;;) turns = turns + 1;
}
