#!/usr/bin/env python3
"""Makes a C++ file out of openapi.json. Usage: embed.py IN OUT"""
import json
import pathlib
import sys

text = pathlib.Path(sys.argv[1]).read_text(encoding="utf-8")
json.loads(text)  # a broken contract does not build
assert ')openapi"' not in text
pathlib.Path(sys.argv[2]).write_text(f"""// Made from openapi.json by embed.py.

#include "web/contract.hpp"

namespace masqgate::web {{

std::string_view openapi_text() {{
  return R"openapi({text})openapi";
}}

}}  // namespace masqgate::web
""", encoding="utf-8")
