# The schema inside the program: our proto files as public tools know them, compiled to one descriptor set and embedded.
# Staged copies differ from proto/ in three ways: well-known types come under their public path, options for the generator of our C
# code are dropped, and the older reflection package (v1alpha), equal but for its name, is written from v1.
find_program(PROTOC protoc REQUIRED)
find_package(ZLIB REQUIRED)

set(SCHEMA_DIR ${CMAKE_BINARY_DIR}/generated/schema)
set(SCHEMA_NAMES)
foreach(proto ${PROTO_FILES})
  get_filename_component(name ${proto} NAME)
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${proto})
  if(name STREQUAL "google_timestamp.proto")
    continue()
  endif()
  file(READ ${proto} text)
  string(REPLACE "import \"google_timestamp.proto\"" "import \"google/protobuf/timestamp.proto\"" text "${text}")
  string(REGEX REPLACE "import \"protobuf-c/[^\n]*\n" "" text "${text}")
  string(REGEX REPLACE "[ ]*option \\(pb_c_[^\n]*\n" "" text "${text}")
  file(CONFIGURE OUTPUT ${SCHEMA_DIR}/${name} CONTENT "${text}" @ONLY)
  list(APPEND SCHEMA_NAMES ${name})
  if(name STREQUAL "reflection.proto")
    string(REPLACE "package grpc.reflection.v1;" "package grpc.reflection.v1alpha;" text "${text}")
    file(CONFIGURE OUTPUT ${SCHEMA_DIR}/reflection_v1alpha.proto CONTENT "${text}" @ONLY)
    list(APPEND SCHEMA_NAMES reflection_v1alpha.proto)
  endif()
endforeach()
list(TRANSFORM SCHEMA_NAMES PREPEND ${SCHEMA_DIR}/ OUTPUT_VARIABLE SCHEMA_STAGED)

add_custom_command(OUTPUT ${SCHEMA_DIR}/schema.bin
  COMMAND ${PROTOC} --include_imports --descriptor_set_out=${SCHEMA_DIR}/schema.bin -I${SCHEMA_DIR} -I/usr/include ${SCHEMA_NAMES}
  WORKING_DIRECTORY ${SCHEMA_DIR} DEPENDS ${SCHEMA_STAGED})
file(WRITE ${SCHEMA_DIR}/grpc_schema.h.in
  "#include <stddef.h>\nextern const unsigned char vex_grpc_schema[];\nextern const size_t vex_grpc_schema_len;\n")
configure_file(${SCHEMA_DIR}/grpc_schema.h.in ${SCHEMA_DIR}/grpc_schema.h COPYONLY)
file(WRITE ${SCHEMA_DIR}/grpc_schema.c.in
"#include \"grpc_schema.h\"
__asm__(\".section .rodata\\n.global vex_grpc_schema\\nvex_grpc_schema:\\n.incbin \\\"${SCHEMA_DIR}/schema.bin\\\"\\n\"
        \"schema_end:\\n.balign 8\\n.global vex_grpc_schema_len\\nvex_grpc_schema_len: .quad schema_end - vex_grpc_schema\\n.text\");
")
configure_file(${SCHEMA_DIR}/grpc_schema.c.in ${SCHEMA_DIR}/grpc_schema.c COPYONLY)
set_source_files_properties(${SCHEMA_DIR}/grpc_schema.c PROPERTIES OBJECT_DEPENDS ${SCHEMA_DIR}/schema.bin)
target_sources(vex_grpc PRIVATE ${SCHEMA_DIR}/grpc_schema.c)
target_include_directories(vex_grpc PRIVATE ${SCHEMA_DIR})
target_link_libraries(vex_grpc PUBLIC ZLIB::ZLIB)
