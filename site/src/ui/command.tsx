/** Text to copy: a command, or code. */
import { useRef, useState } from "preact/hooks";

/** @param label what it is, for who does not see it: "Command" */
export function Command({ text, label }: { text: string; label: string }) {
  const [copied, setCopied] = useState(false);
  const code = useRef<HTMLElement>(null);
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      // pages without https have no clipboard, and visitors may refuse it; what is selected can be copied by keyboard at least
      if (code.current) getSelection()?.selectAllChildren(code.current);
      if (!document.execCommand("copy")) return;
    }
    setCopied(true);
    setTimeout(() => setCopied(false), 2000);
  };
  return (
    <div class="command">
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached by keyboard */}
      {/* biome-ignore lint/a11y/useSemanticElements: lines of code are kept as they are */}
      <pre role="region" aria-label={label} tabIndex={0}>
        <code ref={code}>{text}</code>
      </pre>
      <button type="button" class="button" onClick={copy}>
        {copied ? "Copied" : "Copy"}
      </button>
      <span class="unseen" role="status">
        {copied ? "Copied." : ""}
      </span>
    </div>
  );
}
