
/*
 * Unicode's simple case folding, character by character: texts that differ in
 * case alone are equal once they are folded.  It is the same for all
 * languages, so a dotted I (U+0130) and a dotless one (U+0131) are letters of
 * their own, and what takes more than one character (ß and ss) stays as it is.
 */


#ifndef _EVS_FOLD_H_INCLUDED_
#define _EVS_FOLD_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/* what a folded text needs at most: two bytes may become three */
#define evs_fold_size(len)  ((len) + (len) / 2)

/* Returns the length.  Bytes that are no UTF-8 are left as they are. */
size_t evs_fold(u_char *dst, const u_char *text, size_t len);


#endif /* _EVS_FOLD_H_INCLUDED_ */
