/** The sign and the name. */
export function Logo() {
  return (
    <span className="logo">
      <svg viewBox="0 0 32 32" width="26" height="26" aria-hidden="true" focusable="false">
        <rect width="32" height="32" rx="8" className="logo-back" />
        <path d="M8 22V10.5l8 6.2 8-6.2V22" className="logo-line" />
      </svg>
      mediakeep
    </span>
  );
}
