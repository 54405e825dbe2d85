// Runs the test cases of a program that needs network namespaces: root only, else skipped.

#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>
#include <unistd.h>

#include <cstdio>

int main(int argc, char** argv) {
  if (geteuid() != 0) {
    std::puts("skipped: only root may make network namespaces");
    return 77;
  }
  return doctest::Context{argc, argv}.run();
}
