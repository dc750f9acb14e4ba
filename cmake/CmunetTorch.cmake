# LibTorch, as one interface target, and one precompiled header for all modules of the training half.
set(CMAKE_FIND_PACKAGE_TARGETS_GLOBAL TRUE)  # tests/ links it too
find_package(Torch REQUIRED)

add_library(cmunet_torch INTERFACE)
target_link_libraries(cmunet_torch INTERFACE ${TORCH_LIBRARIES})
target_include_directories(cmunet_torch SYSTEM INTERFACE ${TORCH_INCLUDE_DIRS})
separate_arguments(CMUNET_TORCH_FLAGS UNIX_COMMAND "${TORCH_CXX_FLAGS}")
target_compile_options(cmunet_torch INTERFACE ${CMUNET_TORCH_FLAGS})
if(CMAKE_CXX_COMPILER_ID STREQUAL GNU AND CMAKE_CXX_COMPILER_VERSION VERSION_GREATER_EQUAL 13)
  # Guesses wrongly about the std::vector<bool> in torch::autograd::Function<T>::apply.
  target_compile_options(cmunet_torch INTERFACE -Wno-array-bounds -Wno-stringop-overflow)
endif()

file(WRITE ${CMAKE_BINARY_DIR}/torch_pch.cpp "// Carries the precompiled <torch/torch.h>.\n")
add_library(cmunet_torch_pch STATIC ${CMAKE_BINARY_DIR}/torch_pch.cpp)
target_link_libraries(cmunet_torch_pch PUBLIC cmunet_torch)
cmunet_target_settings(cmunet_torch_pch)
target_precompile_headers(cmunet_torch_pch PRIVATE <torch/torch.h>)
