/** The one-use secret of an invitation or reset link: behind `#`, which a browser never sends to any server. */
export function secretOfAddress(): string {
  return decodeURIComponent(location.hash.replace(/^#/, ''));
}

/** The link to hand over. */
export function linkWithSecret(page: 'invite' | 'reset', secret: string): string {
  return `${location.origin}/${page}#${encodeURIComponent(secret)}`;
}
