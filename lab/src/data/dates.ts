/** Notations of dates. */

/** The order of the parts of a date in digits. */
export type DateOrder = "dmy" | "mdy" | "ymd";
