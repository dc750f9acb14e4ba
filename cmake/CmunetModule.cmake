# One CMake target per module: cmunet_<name>, alias cmunet::<name>.
#
#   cmunet_module(image
#     HEADERS image.h resize.h          # public contracts; in the torch-free half each is compiled alone
#     SOURCES resize.cpp
#     DEPS base                         # modules it may include: the floor plan, checked by tools/lint.py
#     LINK opencv_core                  # third party, private to the module
#     TESTS resize_test.cpp             # one test program per module: cmunet_<name>_test
#     TORCH)                            # the module belongs to the LibTorch half
#
# DEPS is data used twice: here as the link line and in tools/lint.py as the include rule.

set(CMUNET_WARNINGS -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wnon-virtual-dtor -Wold-style-cast
    -Woverloaded-virtual -Wdouble-promotion)
if(CMAKE_CXX_COMPILER_ID STREQUAL GNU AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 14)
  list(APPEND CMUNET_WARNINGS -Wno-restrict)  # sees an overlap in every `"text" + std::string(…)` (GCC bug 105651)
endif()
if(CMUNET_SANITIZE AND CMAKE_CXX_COMPILER_ID STREQUAL GNU)
  list(APPEND CMUNET_WARNINGS -Wno-maybe-uninitialized)  # guesses wrongly about instrumented code (GCC bug 105562)
endif()
if(CMUNET_WERROR)
  list(APPEND CMUNET_WARNINGS -Werror)
endif()

function(cmunet_target_settings target)
  target_compile_options(${target} PRIVATE ${CMUNET_WARNINGS})
  target_include_directories(${target} PUBLIC ${PROJECT_SOURCE_DIR}/src)
  if(CMUNET_SANITIZE)
    target_compile_options(${target} PUBLIC -fsanitize=${CMUNET_SANITIZE} -fno-omit-frame-pointer)
    target_link_options(${target} PUBLIC -fsanitize=${CMUNET_SANITIZE})
  endif()
endfunction()

# Each source with LibTorch's header costs eight seconds before its first line, precompiled or not: several are compiled
# as one. Off where every source should be seen to stand on its own.
function(cmunet_unity target)
  set_target_properties(${target} PROPERTIES UNITY_BUILD ${CMUNET_UNITY} UNITY_BUILD_BATCH_SIZE 6)
endfunction()

function(cmunet_module name)
  cmake_parse_arguments(M "TORCH" "" "HEADERS;SOURCES;DEPS;LINK;LINK_PUBLIC;TESTS;TEST_DEPS" ${ARGN})
  set(target cmunet_${name})
  add_library(${target} STATIC ${M_SOURCES})
  add_library(cmunet::${name} ALIAS ${target})
  target_sources(${target} PUBLIC FILE_SET HEADERS BASE_DIRS ${PROJECT_SOURCE_DIR}/src FILES ${M_HEADERS})
  cmunet_target_settings(${target})
  foreach(dep IN LISTS M_DEPS)
    target_link_libraries(${target} PUBLIC cmunet::${dep})
  endforeach()
  target_link_libraries(${target} PUBLIC ${M_LINK_PUBLIC} PRIVATE ${M_LINK})
  if(M_TORCH)
    target_link_libraries(${target} PUBLIC cmunet_torch)
    target_precompile_headers(${target} REUSE_FROM cmunet_torch_pch)
    cmunet_unity(${target})
  else()
    set_target_properties(${target} PROPERTIES VERIFY_INTERFACE_HEADER_SETS ON)
  endif()
  if(CMUNET_TESTS AND M_TESTS)
    add_executable(${target}_test ${M_TESTS})
    cmunet_target_settings(${target}_test)
    target_link_libraries(${target}_test PRIVATE ${target} GTest::gmock GTest::gtest_main)
    foreach(dep IN LISTS M_TEST_DEPS)
      target_link_libraries(${target}_test PRIVATE cmunet::${dep})
    endforeach()
    if(M_TORCH)
      target_precompile_headers(${target}_test REUSE_FROM cmunet_torch_pch)
      cmunet_unity(${target}_test)
    endif()
    target_compile_definitions(${target}_test PRIVATE
      CMUNET_SOURCE_DIR="${PROJECT_SOURCE_DIR}" CMUNET_SHARED_DATA="${PROJECT_SOURCE_DIR}/../shared/data")
    add_test(NAME unit/${name} COMMAND ${target}_test)
    # Passive waiting: two programs that share the cores would otherwise spin against each other.
    set_tests_properties(unit/${name} PROPERTIES LABELS unit TIMEOUT 600 ENVIRONMENT OMP_WAIT_POLICY=PASSIVE)
  endif()
endfunction()

# Runs a module's test program with older instruction sets, too; it includes kernels/instruction_set_test.h.
function(cmunet_older_processors name)
  foreach(set AVX2 SSE4)
    add_test(NAME unit/${name}-${set} COMMAND cmunet_${name}_test)
    set_tests_properties(unit/${name}-${set} PROPERTIES LABELS unit TIMEOUT 600
      ENVIRONMENT "OMP_WAIT_POLICY=PASSIVE;CMUNET_TEST_INSTRUCTION_SET=${set}")
  endforeach()
endfunction()
