#include "daemon/path/trace.hpp"

namespace masqgate::path {

void Trace::step(List list, const Stage& stage, Verdict verdict) {
  std::string line = "  " + std::string{name(list)} + "/" + std::string{stage.name} + ": ";
  switch (verdict.kind()) {
    case Verdict::Kind::accept:
      line += "accept";
      break;
    case Verdict::Kind::drop:
      line += "drop " + std::string{masqgate::name(verdict.reason())};
      break;
    case Verdict::Kind::stolen:
      line += "stolen";
      break;
    case Verdict::Kind::local:
      line += "for us";
      break;
  }
  add(std::move(line));
}

std::string Trace::text() const {
  std::string all;
  for (const std::string& line : lines_) all += line + "\n";
  return all;
}

}  // namespace masqgate::path
