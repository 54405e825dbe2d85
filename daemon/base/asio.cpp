// The one place where Asio's implementation is compiled.

#include <asio/impl/src.hpp>
