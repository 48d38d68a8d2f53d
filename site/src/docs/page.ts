/** A guide, which is text. */
import "virtual:report.css";
import "../ui/style.css";
