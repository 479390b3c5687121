// Marks what the library shows to others; all else is hidden.
#pragma once

#if defined(_WIN32)
#define NANOACCEL_EXPORT __declspec(dllexport)
#else
#define NANOACCEL_EXPORT __attribute__((visibility("default")))
#endif
