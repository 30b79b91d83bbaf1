# Compiler cache, linker and the warnings that are errors for the project's own code.
find_program(FORESIGHT_CCACHE ccache)
if(FORESIGHT_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  # A precompiled header changes its time stamp, not its content: ccache must not mind. Paths inside the project count as
  # relative ones, so that one build folder finds what another one compiled (build/, build-wheel/, another checkout).
  set(CMAKE_CXX_COMPILER_LAUNCHER
      ${CMAKE_COMMAND} -E env CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime
      CCACHE_BASEDIR=${CMAKE_SOURCE_DIR} CCACHE_NOHASHDIR=1 ${FORESIGHT_CCACHE})
endif()
find_program(FORESIGHT_MOLD mold)
if(FORESIGHT_MOLD)
  # Without separate-code (GNU ld's default), mold 1.10 lets thread-local data begin on a page that nothing maps when the code
  # before it ends in the last bytes of its page: such a program cannot be loaded ("additional memory protection").
  add_link_options(-fuse-ld=mold -Wl,-z,separate-code)
endif()

add_library(foresight_warnings INTERFACE)
# GCC 12 wrongly reports std::string concatenation under -O3 (GCC bugs 105651, 105329).
target_compile_options(foresight_warnings INTERFACE -Wall -Wextra -Wshadow -Wconversion -Wno-sign-conversion -Wno-restrict -Wno-array-bounds -Wno-stringop-overflow)
if(FORESIGHT_WARNINGS_AS_ERRORS) # off for compilers that they are not tuned for
  target_compile_options(foresight_warnings INTERFACE -Werror)
endif()
if(FORESIGHT_SANITIZE)
  # A finding ends the test. -O1 halves the time to compile. vptr: torch hides the type information that it compares.
  # Instrumented code gives GCC's flow analysis false alarms.
  target_compile_options(foresight_warnings INTERFACE -O1 -g1 -D_GLIBCXX_ASSERTIONS -Wno-maybe-uninitialized
    -fsanitize=${FORESIGHT_SANITIZE} -fno-sanitize-recover=all -fno-sanitize=vptr -fno-omit-frame-pointer)
  target_link_options(foresight_warnings INTERFACE -fsanitize=${FORESIGHT_SANITIZE})
endif()
if(FORESIGHT_COVERAGE)
  target_compile_options(foresight_warnings INTERFACE -O1 -g1 -Wno-maybe-uninitialized --coverage -fprofile-update=atomic)
  target_link_options(foresight_warnings INTERFACE --coverage)
endif()
if(FORESIGHT_FUZZ)
  # Assertions of our own libraries and of the standard library's containers count as findings too.
  target_compile_options(foresight_warnings INTERFACE -Wno-unknown-warning-option -O1 -g1 -UNDEBUG -D_GLIBCXX_ASSERTIONS
    -fsanitize=address,undefined,fuzzer-no-link -fno-sanitize-recover=all -fno-omit-frame-pointer)
  target_link_options(foresight_warnings INTERFACE -fsanitize=address,undefined)
endif()
