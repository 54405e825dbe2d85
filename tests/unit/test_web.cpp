// Unit tests of web: the request parser on untrusted bytes, admission, targets, negotiation,
// framing of answers, and the contract against a state tree.

#include <doctest/doctest.h>

#include <initializer_list>
#include <string>

#include "tests/web/fake_tree.hpp"
#include "web/admission.hpp"
#include "web/contract.hpp"
#include "web/http_parser.hpp"
#include "web/negotiation.hpp"
#include "web/target.hpp"

using namespace masqgate;
using namespace masqgate::web;

namespace {

using State = RequestParser::State;

// Feeds the bytes in pieces of this size, as a socket would deliver them; returns what is left.
std::string feed(RequestParser& parser, std::string_view bytes, std::size_t piece) {
  std::string pending;
  for (std::size_t at = 0; at < bytes.size(); at += piece) {
    pending += bytes.substr(at, piece);
    pending.erase(0, parser.feed(pending));
  }
  return pending;
}

Request get_request(std::initializer_list<Field> fields, std::string method = "GET") {
  return {.method = std::move(method), .target = "/v1/status", .fields = fields};
}

}  // namespace

TEST_CASE("parser: a request arrives in pieces of any size") {
  const std::string bytes =
      "PUT /v1/config?dry_run=1 HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
      "Content-Length: 7\r\n\r\n{\"a\":1}";
  for (std::size_t piece = 1; piece <= bytes.size(); ++piece) {
    CAPTURE(piece);
    RequestParser parser;
    CHECK(feed(parser, bytes, piece).empty());
    REQUIRE(parser.state() == State::complete);
    const Request& request = parser.request();
    CHECK(request.method == "PUT");
    CHECK(request.target == "/v1/config?dry_run=1");
    CHECK(request.keep_alive);
    CHECK(request.body == "{\"a\":1}");
    REQUIRE(find_field(request.fields, "content-TYPE") != nullptr);
    CHECK(*find_field(request.fields, "content-TYPE") == "application/json");
  }
}

TEST_CASE("parser: no prefix of a request is complete, none is refused") {
  for (const std::string bytes :
       {"GET / HTTP/1.1\r\nHost: a\r\nAccept: */*\r\n\r\n",
        "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc",
        "PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2;x=y\r\nab\r\n1\r\nc\r\n"
        "0\r\nTrailer: t\r\n\r\n"})
    for (std::size_t size = 0; size < bytes.size(); ++size) {
      CAPTURE(size);
      RequestParser parser;
      parser.feed(bytes.substr(0, size));
      CHECK(parser.state() != State::complete);
      CHECK(parser.state() != State::refused);
    }
}

TEST_CASE("parser: pipelined requests leave what belongs to the next") {
  std::string bytes =
      "GET /1 HTTP/1.1\r\nHost: a\r\n\r\n"
      "PUT /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}"
      "\r\nGET /3 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
  for (const std::string target : {"/1", "/2", "/3"}) {
    RequestParser parser;
    bytes.erase(0, parser.feed(bytes));
    REQUIRE(parser.state() == State::complete);
    CHECK(parser.request().target == target);
    CHECK(parser.request().keep_alive == (target != "/3"));
  }
  CHECK(bytes.empty());
}

TEST_CASE("parser: chunks are joined; their trailers are not fields") {
  const std::string bytes =
      "PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
      "2\r\n{}\r\n3;ext=1\r\n   \r\n0\r\nContent-Type: application/json\r\n\r\n";
  for (std::size_t piece = 1; piece <= bytes.size(); ++piece) {
    CAPTURE(piece);
    RequestParser parser;
    feed(parser, bytes, piece);
    REQUIRE(parser.state() == State::complete);
    CHECK(parser.request().body == "{}   ");
    CHECK(find_field(parser.request().fields, "Content-Type") == nullptr);
  }
}

TEST_CASE("parser: an empty chunked body arrives byte by byte") {
  RequestParser parser;
  feed(parser, "PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 1);
  REQUIRE(parser.state() == State::complete);
  CHECK(parser.request().body.empty());
}

TEST_CASE("parser: what is refused, and with which status") {
  const std::string host = "Host: a\r\n", put = "PUT / HTTP/1.1\r\n" + host;
  const std::string chunked = put + "Transfer-Encoding: chunked\r\n\r\n";
  struct Case {
    std::string name;
    std::string bytes;
    unsigned status;
  };
  for (const Case& c : {
           Case{"not http", "hello world, this is no http at all\r\n\r\n", 400},
           Case{"http/0.9", "GET /\r\n\r\n", 400},
           Case{"http/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400},
           Case{"tls", "\x16\x03\x01\x02\x01\x01\xfc\x03\x03\r\n\r\n", 400},
           Case{"no host", "GET / HTTP/1.1\r\n\r\n", 400},
           Case{"two hosts", "GET / HTTP/1.1\r\n" + host + host + "\r\n", 400},
           Case{"bare line feeds", "GET / HTTP/1.1\nHost: a\n\n\r\n\r\n", 400},
           Case{"blank before colon", "GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400},
           Case{"control character", "GET / HTTP/1.1\r\nHost: a\x01\r\n\r\n", 400},
           Case{"length and chunked",
                put + "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
           Case{"chunked and length",
                put + "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n", 400},
           Case{"length and a hidden coding",
                put + "Content-Length: 3\r\nTransfer-Encoding: xchunked\r\n\r\nabc", 400},
           Case{"length twice", put + "Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc", 400},
           Case{"lengths as a list", put + "Content-Length: 3, 3\r\n\r\nabc", 400},
           Case{"signed length", put + "Content-Length: +3\r\n\r\nabc", 400},
           Case{"negative length", put + "Content-Length: -1\r\n\r\n", 400},
           Case{"endless length", put + "Content-Length: 99999999999999999999999\r\n\r\n", 400},
           Case{"coding twice",
                put + "Transfer-Encoding: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
           Case{"chunked in http/1.0",
                "PUT / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
           Case{"another coding", put + "Transfer-Encoding: gzip, chunked\r\n\r\n", 501},
           Case{"unknown coding", put + "Transfer-Encoding: gzip\r\n\r\n", 501},
           Case{"chunk size", chunked + "g\r\n{}\r\n", 400},
           Case{"endless chunk size", chunked + "fffffffffffffffff\r\n", 400},
           Case{"chunk longer than told", chunked + "2\r\nabc\r\n0\r\n\r\n", 400},
           Case{"expectation", put + "Expect: miracles\r\n\r\n", 417},
           Case{"body too long", put + "Content-Length: 1048577\r\n\r\n", 413},
           Case{"chunk too long", chunked + "100001\r\n", 413},
           Case{"endless target", "GET /" + std::string(20000, 'a'), 431},
           Case{"endless field", put + "X: " + std::string(20000, 'a'), 431},
           Case{"too many fields",
                put +
                    [] {
                      std::string fields;
                      for (int i = 0; i < 3000; ++i) fields += "A: b\r\n";
                      return fields;
                    }() +
                    "\r\n",
                431},
           Case{"endless chunk extension", chunked + "1;" + std::string(20000, 'a'), 431},
           Case{"endless trailer", chunked + "0\r\nX: " + std::string(20000, 'a'), 431},
       }) {
    CAPTURE(c.name);
    for (const std::size_t piece : {c.bytes.size(), std::size_t{1000}, std::size_t{1}}) {
      if (piece == 1 && c.bytes.size() > 10000) continue;  // quadratic in a test, not in a session
      CAPTURE(piece);
      RequestParser parser;
      feed(parser, c.bytes, piece);
      REQUIRE(parser.state() == State::refused);
      CHECK(parser.refusal().status == c.status);
    }
  }
}

TEST_CASE("parser: the largest head and body pass") {
  std::string head = "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 1048576\r\nX: ";
  head += std::string((16 << 10) - head.size() - 4, 'a') + "\r\n\r\n";
  RequestParser parser;
  CHECK(feed(parser, head + std::string(1 << 20, 'b'), 16 << 10).empty());
  REQUIRE(parser.state() == State::complete);
  CHECK(parser.request().body.size() == 1 << 20);
}

TEST_CASE("parser: who waits for 100 Continue is recognised before the body") {
  RequestParser parser;
  parser.feed("PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\nContent-Length: 1\r\n\r\n");
  REQUIRE(parser.state() == State::body);
  CHECK(parser.request().expects_continue);
  CHECK(parser.request().has_body);
}

TEST_CASE("admission: Host over TCP names the loopback") {
  struct Case {
    std::string host;
    bool fine;
  };
  for (const Case& c :
       {Case{"localhost", true}, Case{"LocalHost:8080", true}, Case{"127.0.0.1", true},
        Case{"127.3.2.1:80", true}, Case{"[::1]", true}, Case{"[::1]:8080", true}, Case{"", false},
        Case{"evil.example", false}, Case{"localhost.evil.example", false},
        Case{"127.0.0.1.evil.example", false}, Case{"192.168.0.1", false},
        Case{"[2001:db8::1]:80", false}, Case{"[127.0.0.1]", false}, Case{"localhost:x", false},
        Case{"user@localhost", false}, Case{"0.0.0.0", false}}) {
    CAPTURE(c.host);
    CHECK(names_loopback(c.host) == c.fine);
    const Request request = get_request({{"Host", c.host}});
    const auto refusal = refuse_admission(request, Door::tcp);
    CHECK(refusal.has_value() != c.fine);
    if (refusal) CHECK(refusal->status == 421);
    CHECK_FALSE(refuse_admission(request, Door::local));
  }
  Request absolute = get_request({{"Host", "localhost"}});
  absolute.target = "http://evil.example/v1/status";
  CHECK(refuse_admission(absolute, Door::tcp)->status == 421);
}

TEST_CASE("admission: Origin is our own or absent") {
  const Field host{"Host", "localhost:80"};
  CHECK_FALSE(refuse_admission(get_request({host, {"Origin", "http://localhost:80"}}), Door::tcp));
  for (const std::string origin : {"http://evil.example", "http://localhost:81",
                                   "https://localhost:80", "null", "http://localhost"}) {
    CAPTURE(origin);
    CHECK(refuse_admission(get_request({host, {"Origin", origin}}), Door::tcp)->status == 403);
  }
}

TEST_CASE("admission: changes say that they are JSON") {
  struct Case {
    std::string method;
    const char* type;  // null: none
    Door door;
    bool fine;
  };
  for (const Case& c :
       {Case{"GET", nullptr, Door::tcp, true}, Case{"HEAD", nullptr, Door::tcp, true},
        Case{"PUT", nullptr, Door::local, false}, Case{"PUT", "text/plain", Door::local, false},
        Case{"PUT", "application/jsonx", Door::tcp, false},
        Case{"PUT", "application/x-www-form-urlencoded", Door::tcp, false},
        Case{"PUT", "Application/JSON ; charset=utf-8", Door::tcp, true},
        Case{"POST", "application/json", Door::tcp, true}, Case{"POST", nullptr, Door::tcp, false},
        Case{"DELETE", nullptr, Door::tcp, false},
        Case{"DELETE", "application/json", Door::tcp, true},
        Case{"DELETE", nullptr, Door::local, true}}) {
    CAPTURE(c.method);
    CAPTURE(std::string{c.type == nullptr ? "none" : c.type});
    Request request = get_request({{"Host", "localhost"}}, c.method);
    if (c.type != nullptr) request.fields.push_back({"Content-Type", c.type});
    CHECK(refuse_admission(request, c.door).has_value() != c.fine);
  }
}

TEST_CASE("target: paths and parameters are decoded once") {
  const Target target = parse_target("/v1/a%20b/%2525?x=1+2&y=%26&z&=&w=a=b");
  CHECK(target.path == "/v1/a b/%25");
  CHECK(target.query == state::Query{{"x", "1 2"}, {"y", "&"}, {"z", ""}, {"", ""}, {"w", "a=b"}});
  CHECK(parse_target("http://localhost:80/v1?a=b").path == "/v1");
  CHECK(parse_target("http://localhost").path == "/");
  for (const std::string bad :
       {"/a%2Fb", "/a%2fb", "/%", "/%4", "/%zz", "/%00", "/?a=1&a=2", "*", "v1"}) {
    CAPTURE(bad);
    CHECK_THROWS_AS(parse_target(bad), state::Error);
  }
}

TEST_CASE("negotiation: text only where it is liked better") {
  struct Case {
    std::string accept;
    bool text;
  };
  for (const Case& c : {Case{"*/*", false}, Case{"application/json", false},
                        Case{"text/plain", true}, Case{"text/plain, */*;q=0.1", true},
                        Case{"text/*", true}, Case{"text/plain;q=0.5, application/json", false},
                        Case{"text/plain;q=0.9, application/json;q=0.8", true},
                        Case{"text/html,application/xhtml+xml,*/*;q=0.8", false},
                        Case{"TEXT/PLAIN;charset=utf-8", true}, Case{"text/plain;q=x", false},
                        Case{"", false}, Case{",,;/", false}}) {
    const std::string& accept = c.accept;
    CAPTURE(accept);
    CHECK(prefers_text(&accept) == c.text);
  }
  CHECK_FALSE(prefers_text(nullptr));
}

TEST_CASE("negotiation: entity tags match as wholes") {
  CHECK(names_tag("\"7\"", "\"7\""));
  CHECK(names_tag("\"6\" , \"7\"", "\"7\""));
  CHECK(names_tag(" * ", "\"7\""));
  for (const std::string other : {"7", "\"77\"", "W/\"7\"", "", "\"7"})
    CHECK_FALSE(names_tag(other, "\"7\""));
  CHECK_FALSE(names_tag("", ""));
}

TEST_CASE("answer: framing of content, of none, and of HEAD") {
  const Response page{.status = 200, .content_type = "text/plain", .body = "hello"};
  const std::string date = http_date(784111777);
  CHECK(date == "Sun, 06 Nov 1994 08:49:37 GMT");
  const std::string bytes = serialize(page, {}, date);
  CHECK(bytes.starts_with("HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n"));
  CHECK(bytes.ends_with("\r\n\r\nhello"));
  const std::string head = serialize(page, {.head_only = true, .keep_alive = false}, date);
  CHECK(head.find("Content-Length: 5\r\n") != std::string::npos);
  CHECK(head.find("Connection: close\r\n") != std::string::npos);
  CHECK(head.ends_with("\r\n\r\n"));
  CHECK(serialize({.status = 204}, {}, date).find("Content-Length") == std::string::npos);
}

TEST_CASE("problem: quoted bytes that are no UTF-8 do no harm") {
  const Response response = problem(400, "bad \xff", "/a");
  const auto document = nlohmann::json::parse(response.body);
  CHECK(document["status"] == 400);
  CHECK(document["title"] == "Bad Request");
  CHECK(document["pointer"] == "/a");
}

TEST_CASE("contract: openapi.json describes the tree, and every difference is found") {
  tests::FakeRouter router;
  const state::Tree same = tests::fake_tree(router);
  CHECK(contract_differences(same) == std::vector<std::string>{});

  state::Tree more = tests::fake_tree(router);
  more.add("extra", state::Node{.summary = ""});
  CHECK(contract_differences(more) ==
        std::vector<std::string>{"/v1/extra: the contract does not know it"});

  auto document = state::Json::parse(openapi_text());
  document["paths"].erase("/v1/status");
  document["paths"]["/v1/ghost"] = document["paths"]["/v1/ports"];
  document["paths"]["/v1/config"]["put"].erase("parameters");
  document["paths"]["/v1/connections/{id}"]["get"] = document["paths"]["/v1/ports"]["get"];
  document["paths"]["/v1/drops"]["get"]["responses"]["200"]["content"].erase("text/plain");
  CHECK(
      contract_differences(same, document) ==
      std::vector<std::string>{
          "/v1/config: the tree has the parameter dry_run, the contract has not",
          "/v1/config: the tree has the parameter rejudge, the contract has not",
          "/v1/connections/{}: the contract has the method get, the tree has not",
          "/v1/connections/{}: the contract has the media type application/json, the tree has not",
          "/v1/drops: the tree has the media type text/plain, the contract has not",
          "/v1/status: the contract does not know it", "/v1/ghost: the tree does not have it"});
}
