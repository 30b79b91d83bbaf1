// The one way to include Catch2. A test that uses torch includes its headers BEFORE this one: c10 defines
// CHECK too, and Catch2's must win.
#pragma once
#ifdef CHECK
#undef CHECK
#endif
#include <catch2/catch.hpp>
