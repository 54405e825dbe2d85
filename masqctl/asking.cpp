#include "masqctl/asking.hpp"

#include <cerrno>
#include <cstring>
#include <fstream>
#include <iostream>
#include <iterator>

namespace masqgate::ctl {
namespace {

// "the ports are missing (/ports)" out of a problem document, or the bare status.
std::string problem_text(const Reply& reply) {
  const Json document = Json::parse(reply.body, nullptr, false);
  const std::string detail = document.is_object() ? member(document, {"detail"}) : "-";
  if (detail == "-") return "the router answered with status " + std::to_string(reply.status);
  const std::string pointer = member(document, {"pointer"});
  return detail + (pointer == "-" ? "" : " (" + pointer + ")");
}

std::string read_all(std::istream& in) {
  return {std::istreambuf_iterator<char>{in}, std::istreambuf_iterator<char>{}};
}

}  // namespace

Reply ask(const Context& context, const Call& call, const std::string& about) {
  return expect_success(send(context.socket, call), about);
}

Reply expect_success(Reply reply, const std::string& about) {
  if (reply.status < 200 || reply.status > 299)
    throw Failure{Exit::refused, about + ": " + problem_text(reply)};
  return reply;
}

Json parse(const Reply& reply, const std::string& about) {
  Json document = Json::parse(reply.body, nullptr, false);
  if (document.is_discarded()) throw Failure{Exit::refused, about + ": the answer is no JSON"};
  return document;
}

std::string read_file(const std::string& name) {
  if (name == "-") return read_all(std::cin);
  try {
    std::ifstream file{name, std::ios::binary};
    if (!file) throw Failure{Exit::usage, name + ": " + std::strerror(errno)};
    return read_all(file);
  } catch (const std::ios_base::failure& error) {  // a directory can be opened, but not read
    throw Failure{Exit::usage, name + ": " + error.code().message()};
  }
}

}  // namespace masqgate::ctl
