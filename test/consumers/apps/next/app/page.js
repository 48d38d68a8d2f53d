"use client";
import { useEffect } from "react";

/** Runs the check in the browser. */
export default function Page() {
  useEffect(() => {
    import("../../page/page.js");
  }, []);
  return null;
}
