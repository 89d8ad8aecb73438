/*
 * What each reference to an engine function that seams.c stands in for came to
 * be in this link: `called` is `ours`, unless the linker was not told. The
 * build writes the table from seams.c; its end has no name.
 */
#ifndef FTVM_SEAM_LINKS_H
#define FTVM_SEAM_LINKS_H

typedef struct SeamLink {
    const char *name;
    const void *called, *ours;
} SeamLink;

extern const SeamLink seam_links[];

#endif
