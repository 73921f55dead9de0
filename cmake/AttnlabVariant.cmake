# attnlab_add_variant(<name> SOURCES file... [PLUGIN])
#
# Adds a variant folder to the library and its `register_<name>` to the generated list of built-ins
# (build/generated/variants/builtin.cpp: readable, in the order of the folders). With PLUGIN the same
# sources become a shared library of their own, which exports the C entry of variants/api/plugin.h.

define_property(GLOBAL PROPERTY ATTNLAB_BUILTIN_VARIANTS BRIEF_DOCS "Names of built-in variants")

function(attnlab_add_variant name)
  cmake_parse_arguments(ARG "PLUGIN" "" "SOURCES" ${ARGN})
  list(TRANSFORM ARG_SOURCES PREPEND ${CMAKE_CURRENT_SOURCE_DIR}/)
  if(ARG_PLUGIN)
    add_library(${name} MODULE ${ARG_SOURCES})
    attnlab_target(${name})
    set_target_properties(${name} PROPERTIES PREFIX "" CXX_VISIBILITY_PRESET hidden)
    target_link_libraries(${name} PRIVATE attnlab)
  else()
    target_sources(attnlab PRIVATE ${ARG_SOURCES})
    set_property(GLOBAL APPEND PROPERTY ATTNLAB_BUILTIN_VARIANTS ${name})
  endif()
endfunction()

function(attnlab_generate_builtin_list output)
  get_property(names GLOBAL PROPERTY ATTNLAB_BUILTIN_VARIANTS)
  set(declarations "")
  set(calls "")
  foreach(name IN LISTS names)
    string(APPEND declarations "void register_${name}(Registry& registry);\n")
    string(APPEND calls "  register_${name}(registry);\n")
  endforeach()
  file(CONFIGURE OUTPUT ${output} CONTENT
"// Generated from the calls of attnlab_add_variant.
#include \"variants/api/registry.h\"

namespace attnlab {

${declarations}
void register_builtin_variants(Registry& registry) {
${calls}}

}  // namespace attnlab
" @ONLY)
endfunction()
