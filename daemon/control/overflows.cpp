#include "daemon/control/overflows.hpp"

namespace masqgate::control {

std::vector<Overflows::News> Overflows::step(const std::vector<Sample>& samples, Time now) {
  std::vector<News> news;
  for (auto& [key, watched] : watched_) watched.there = false;
  for (const Sample& sample : samples) {
    Watched& watched = watched_[{sample.port, sample.member}];
    // A count that is smaller is another program's in the same place.
    const bool is_same = sample.count >= watched.who.count;
    const std::uint64_t more = sample.count - (is_same ? watched.who.count : 0);
    watched.who = sample;
    watched.there = true;
    if (more == 0) continue;
    const bool begins = !watched.active;
    if (begins) watched = {sample, true, true, 0, now, now, now};
    watched.packets += more;
    watched.last = now;
    if (!begins && now - watched.told < kAgain) continue;
    watched.told = now;
    news.push_back({sample, false, watched.packets, now - watched.began});
  }
  for (auto& [key, watched] : watched_) {
    if (!watched.active || (watched.there && now - watched.last < kQuiet)) continue;
    watched.active = false;
    news.push_back({watched.who, true, watched.packets, watched.last - watched.began});
  }
  std::erase_if(watched_, [](const auto& one) { return !one.second.there; });
  return news;
}

}  // namespace masqgate::control
