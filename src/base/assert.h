/* Assertions that stay on in release builds: for our own invariants, never for input. */
#ifndef RV_BASE_ASSERT_H
#define RV_BASE_ASSERT_H

/* Writes file, line and text to standard error by write(2) and aborts. */
_Noreturn void rv_panic(const char *file, int line, const char *what);

#define RV_ASSERT(cond) ((cond) ? (void)0 : rv_panic(__FILE__, __LINE__, #cond))
#define RV_UNREACHABLE() rv_panic(__FILE__, __LINE__, "unreachable")

#endif
