/**
 * The default Trusted Types policy, so that the page works under `require-trusted-types-for 'script'`.
 *
 * Mantine writes its generated style sheets through `innerHTML` of a `<style>`; those texts are CSS and hold no `<`. Nothing else of the console writes HTML,
 * so a text with a tag in it is refused. Script addresses must be this node's own `/assets/`.
 */
interface PolicyFactory {
  createPolicy: (
    name: string,
    rules: { createHTML: (text: string) => string; createScriptURL: (address: string) => string },
  ) => unknown;
}

export function installTrustedTypes(): void {
  const factory = (window as unknown as { trustedTypes?: PolicyFactory }).trustedTypes;
  factory?.createPolicy('default', { createHTML: onlyWithoutTags, createScriptURL: onlyOwnAssets });
}

function onlyWithoutTags(text: string): string {
  if (text.includes('<')) throw new TypeError('the console writes no HTML');
  return text;
}

function onlyOwnAssets(address: string): string {
  const url = new URL(address, location.origin);
  if (url.origin !== location.origin || !url.pathname.startsWith('/assets/')) {
    throw new TypeError('scripts come from this node only');
  }
  return url.href;
}
