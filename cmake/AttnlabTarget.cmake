# What every target of the project shares: include root, warnings, sanitizers.

find_program(CCACHE_PROGRAM ccache)
if(CCACHE_PROGRAM)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env
      CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime
      ${CCACHE_PROGRAM})
  set(CMAKE_CUDA_COMPILER_LAUNCHER ${CCACHE_PROGRAM})
  message(STATUS "ccache: ${CCACHE_PROGRAM}")
endif()

function(attnlab_target name)
  target_include_directories(${name} PUBLIC ${PROJECT_SOURCE_DIR})
  # LibTorch's headers bring an fmt of their own, which hides the system's: never link to either.
  target_compile_definitions(${name} PRIVATE FMT_HEADER_ONLY=1)
  target_compile_options(${name} PRIVATE
    $<$<COMPILE_LANGUAGE:CXX>:-Wall -Wextra -Wpedantic -Wshadow -Wno-psabi>
    # g++ 12 sees overlapping copies in "text" + std::string (GCC bug 105651).
    $<$<AND:$<COMPILE_LANGUAGE:CXX>,$<CXX_COMPILER_ID:GNU>>:-Wno-restrict>
    $<$<AND:$<COMPILE_LANGUAGE:CXX>,$<BOOL:${CCACHE_PROGRAM}>>:-fpch-preprocess>)
  if(ATTNLAB_WERROR)
    target_compile_options(${name} PRIVATE $<$<COMPILE_LANGUAGE:CXX>:-Werror>)
  endif()
  if(ATTNLAB_SANITIZE)
    target_compile_options(${name} PRIVATE $<$<COMPILE_LANGUAGE:CXX>:-fsanitize=${ATTNLAB_SANITIZE}
      -fno-sanitize-recover=all -fno-omit-frame-pointer -g1>)
    target_link_options(${name} PRIVATE -fsanitize=${ATTNLAB_SANITIZE})
  endif()
  if(CMAKE_BUILD_TYPE STREQUAL "Debug" OR ATTNLAB_SANITIZE)
    target_compile_definitions(${name} PRIVATE _GLIBCXX_ASSERTIONS)
  endif()
endfunction()

# attnlab_test(<name> SOURCES a.cpp ... LIBS lib ... [LABELS label ...] [SHARDS n])
# One GoogleTest program and one CTest entry of the same name, or n of them, <name>_1 to <name>_n, that
# run at the same time under `ctest --parallel`. The target `torch_free_tests` builds all that have the
# label torch_free.
add_custom_target(torch_free_tests)
function(attnlab_test name)
  cmake_parse_arguments(ARG "" "SHARDS" "SOURCES;LIBS;LABELS" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  attnlab_target(${name})
  target_compile_definitions(${name} PRIVATE _GLIBCXX_ASSERTIONS)
  target_link_libraries(${name} PRIVATE ${ARG_LIBS} GTest::gtest_main)
  if(NOT ARG_SHARDS)
    add_test(NAME ${name} COMMAND ${name} WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
    set_tests_properties(${name} PROPERTIES LABELS "${ARG_LABELS}" TIMEOUT 900)
  else()
    foreach(shard RANGE 1 ${ARG_SHARDS})
      math(EXPR index "${shard} - 1")
      add_test(NAME ${name}_${shard} COMMAND ${name} WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
      set_tests_properties(${name}_${shard} PROPERTIES LABELS "${ARG_LABELS}" TIMEOUT 900
                           ENVIRONMENT "GTEST_TOTAL_SHARDS=${ARG_SHARDS};GTEST_SHARD_INDEX=${index}")
    endforeach()
  endif()
  if("torch_free" IN_LIST ARG_LABELS)
    add_dependencies(torch_free_tests ${name})
  endif()
endfunction()
