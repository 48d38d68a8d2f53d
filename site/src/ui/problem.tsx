/** What went wrong, in the words of the command line. */
export function Problem({ text }: { text: string | undefined }) {
  return (
    <div role="alert">
      {text !== undefined && (
        <div class="problem">
          <p>{text}</p>
        </div>
      )}
    </div>
  );
}
