/* Versions: of the API that clients know, digits and dots only, and our own. */
#ifndef RV_DAEMON_VERSION_H
#define RV_DAEMON_VERSION_H

#define RV_API_VERSION "1.12.0" /* the peer's version whose v1 API this is compatible with */
#define RV_VERSION "0.1.0"

#endif
