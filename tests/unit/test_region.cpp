// Unit tests of daemon/conntrack/region.hpp: the table that outlives its process, and files that
// are not what they say.

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <set>

#include "daemon/base/unique_fd.hpp"
#include "daemon/conntrack/track.hpp"
#include "daemon/nat/mappings.hpp"
#include "tests/support/packet_builder.hpp"

using namespace masqgate;
using namespace masqgate::conntrack;
using namespace masqgate::test;
using std::chrono::seconds;

namespace {

constexpr Time kStart{seconds{1000}};
constexpr std::size_t kCapacity = 8;
constexpr std::uint32_t kHeader = 4096;

const nat::AddressRange kOwn{address("203.0.113.7"), address("203.0.113.7")};
const nat::Outside kOutside{{&kOwn, 1}};

struct TemporaryFile {
  TemporaryFile() {
    std::string pattern = std::filesystem::temp_directory_path() / "masqgate-test-XXXXXX";
    if (::mkdtemp(pattern.data()) == nullptr) throw std::logic_error{"no temporary directory"};
    directory = pattern;
  }
  TemporaryFile(const TemporaryFile&) = delete;
  ~TemporaryFile() { std::filesystem::remove_all(directory); }

  std::string path() const { return directory / "connections.0"; }
  std::vector<char> read() const {
    std::ifstream file{path(), std::ios::binary};
    return {std::istreambuf_iterator<char>{file}, {}};
  }
  void write(const std::vector<char>& bytes) const {
    std::ofstream{path(), std::ios::binary | std::ios::trunc}.write(
        bytes.data(), static_cast<std::streamsize>(bytes.size()));
  }

  std::filesystem::path directory;
};

Tuple tuple_of(net::Port port) {
  return udp().from("192.168.1.10", port).to("198.51.100.1", 53).tuple();
}

// Five masqueraded connections, of which one has gone again, and one that was never confirmed.
void live_and_die(const std::string& path) {
  Table table{Region{path, kCapacity}, kStart};
  nat::Mappings mappings{table, Random{{1, 2}}};
  for (net::Port port = 1; port <= 5; ++port) {
    Connection& c = *table.create(tuple_of(port), kStart);
    REQUIRE_FALSE(mappings.choose(c, kOutside, nat::kRfc));
    REQUIRE(table.confirm(c, kStart, seconds{10 * port}));
    c.half(Direction::original).shortcut = {7, 7, 1, 1, 1, 7};
    c.half(Direction::original).packets = port;
  }
  table.remove(*table.find(tuple_of(3)).connection);
  table.create(tuple_of(9), kStart);
}

}  // namespace

TEST_CASE("M4: connections and mappings outlive the process, short cuts and the expired do not") {
  TemporaryFile file;
  live_and_die(file.path());
  const Time later = kStart + seconds{15};
  Region region{file.path(), kCapacity};
  CHECK(region.adopted());
  CHECK(region.set_aside() == "");
  Table table{std::move(region), later};
  nat::Mappings mappings{table, Random{{3, 4}}};
  struct Holder final : Observer {
    explicit Holder(nat::Mappings& all) : mappings{all} {}
    void removed(const Connection& c) noexcept override { mappings.release(c); }
    nat::Mappings& mappings;
  } holder{mappings};
  table.set_observer(&holder);
  CHECK(table.size() == 4);
  table.expire(later + TimerWheel::kTick, 100);
  CHECK(table.size() == 3);
  for (const net::Port port : std::initializer_list<net::Port>{2, 4, 5}) {
    const Connection* c = table.find(tuple_of(port)).connection;
    REQUIRE(c != nullptr);
    CHECK(std::uint64_t{c->half(Direction::original).packets} == port);
    CHECK(c->half(Direction::original).shortcut.generation == 0);
    CHECK(c->expires() == kStart + seconds{10 * port});
  }
  CHECK(table.is_free(tuple_of(9)));
  // The port of a living one is held against another host, that of an expired one is not.
  for (const net::Port port : std::initializer_list<net::Port>{4, 1}) {
    Connection& c =
        *table.create(udp().from("192.168.1.11", port).to("198.51.100.9", 53).tuple(), later);
    REQUIRE_FALSE(mappings.choose(c, kOutside, nat::kRfc));
    CHECK((c.reply.destination_port == port) == (port == 1));
  }
}

TEST_CASE("a file that is no region of ours is set aside, said so, and left as it was") {
  struct Case {
    std::string name;
    std::function<void(std::vector<char>&)> spoil;
    const char* why;
  };
  for (const Case& c : {
           Case{"foreign magic", [](auto& b) { b[0] = 'x'; }, "it is not a connection region"},
           Case{"another version", [](auto& b) { b[8] = 99; }, "it has version 99, not 4"},
           Case{"another record size", [](auto& b) { b[12] ^= 1; }, "it has version 4"},
           Case{"a wrong capacity", [](auto& b) { b[16] ^= 1; }, "its header checksum is wrong"},
           Case{"another boot", [](auto& b) { b[24] ^= 1; }, "its header checksum is wrong"},
           Case{"cut short", [](auto& b) { b.pop_back(); }, "it is cut short"},
           Case{"too long", [](auto& b) { b.push_back(0); }, "it is cut short, or too long"},
           Case{"three bytes", [](auto& b) { b.resize(3), b[0] = 'x'; },
                "it is not a connection region"},
           Case{"half a header", [](auto& b) { b.resize(20); }, "its header checksum is wrong"},
       }) {
    CAPTURE(c.name);
    TemporaryFile file;
    live_and_die(file.path());
    std::vector<char> bytes = file.read();
    c.spoil(bytes);
    file.write(bytes);
    Region region{file.path(), kCapacity};
    CHECK_FALSE(region.adopted());
    CHECK(region.set_aside() == file.path() + ".set-aside");
    CHECK(region.why_set_aside().find(c.why) == 0);
    CHECK(std::filesystem::file_size(region.set_aside()) == bytes.size());
    CHECK(Table{std::move(region), kStart}.size() == 0);
  }
}

TEST_CASE("another capacity is another region; an empty file and a missing one are none") {
  TemporaryFile file;
  live_and_die(file.path());
  Region other{file.path(), kCapacity * 2};
  CHECK(other.why_set_aside() == "it holds 8 records, not 16");
  file.write({});
  Region fresh{file.path(), kCapacity};
  CHECK_FALSE(fresh.adopted());
  CHECK(fresh.set_aside() == "");
  struct stat status {};
  REQUIRE(::stat(file.path().c_str(), &status) == 0);
  CHECK(status.st_size == kHeader + kCapacity * sizeof(Connection));
}

TEST_CASE("a region is not written through a symbolic link, and says where it could not be made") {
  TemporaryFile file;
  std::filesystem::create_symlink(file.directory / "elsewhere", file.path());
  CHECK_THROWS_WITH(Region(file.path(), kCapacity), doctest::Contains(file.path().c_str()));
  CHECK_FALSE(std::filesystem::exists(file.directory / "elsewhere"));
}

TEST_CASE("bits flipped anywhere: nothing crashes, and what is found is what was put in") {
  TemporaryFile file;
  live_and_die(file.path());
  const std::vector<char> good = file.read();
  std::set<Tuple> originals, replies;
  {
    Table table{Region{file.path(), kCapacity}, kStart};
    for (const net::Port port : std::initializer_list<net::Port>{1, 2, 4, 5}) {
      originals.insert(tuple_of(port));
      replies.insert(table.find(tuple_of(port)).connection->reply);
    }
  }
  constexpr auto kFixed =
      Connection::kSourceNat | Connection::kMapped | Connection::kLocal | Connection::kClassicPort;
  for (std::uint64_t seed = 1; seed <= 2000; ++seed) {
    CAPTURE(seed);
    Random random{{seed, 11}};
    std::vector<char> bytes = good;
    for (std::uint32_t flips = 1 + random.below(20); flips > 0; --flips) {
      // Half of the time only records, so that the header does not hide them.
      const auto size = static_cast<std::uint32_t>(bytes.size());
      const std::uint32_t at =
          random.below(8) == 0 ? random.below(64) : kHeader + random.below(size - kHeader);
      bytes[at] = static_cast<char>(bytes[at] ^ 1 << random.below(8));
    }
    file.write(bytes);
    Table table{Region{file.path(), kCapacity}, kStart};
    nat::Mappings mappings{table, Random{{seed, 12}}};
    struct Holder final : Observer {
      explicit Holder(nat::Mappings& all) : mappings{all} {}
      void removed(const Connection& c) noexcept override { mappings.release(c); }
      nat::Mappings& mappings;
    } holder{mappings};
    table.set_observer(&holder);
    for (std::uint32_t i = 0; i < table.capacity(); ++i) {
      const Connection& c = table.at(i);
      if (!c.has(Connection::kConfirmed)) continue;
      CHECK(originals.contains(c.original));
      CHECK(replies.contains(c.reply));
      CHECK((c.flags & kFixed) == Connection::kMapped);
      CHECK(table.find(c.original).connection == &c);
      CHECK(table.find(c.reply).connection == &c);
      CHECK(c.created() <= kStart);
      CHECK(c.expires() - kStart <= Table::kLongestLife);
    }
    // It lives on as a whole table: fills up, gives way, empties.
    for (net::Port port = 100; port < 120; ++port)
      if (Connection* c = table.create(tuple_of(port), kStart)) {
        REQUIRE_FALSE(mappings.choose(*c, kOutside, nat::kRfc));
        if (table.confirm(*c, kStart, seconds{5}))
          mappings.hold(*c);
        else
          table.discard(*c);
      }
    CHECK(table.size() <= kCapacity);
    for (std::uint32_t i = 0; i < table.capacity(); ++i)
      if (table.at(i).has(Connection::kConfirmed)) table.remove(table.at(i));
    CHECK(table.size() == 0);
    std::filesystem::remove(file.path() + ".set-aside");
  }
}
