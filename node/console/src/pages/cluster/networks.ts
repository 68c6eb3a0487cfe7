/** Networks as `10.1.0.0/16` and `2001:db8::/32`: whether they are what the node takes, before it is asked. */

interface Network {
  bits: 32 | 128;
  address: bigint;
  prefix: number;
}

/** None for what is no network. */
function parse(text: string): Network | undefined {
  const [address, length, ...rest] = text.trim().split('/');
  if (!address || !length || rest.length > 0 || !/^\d{1,3}$/.test(length)) return undefined;
  const bits = address.includes(':') ? 128 : 32;
  const value = bits === 128 ? parseSix(address) : parseFour(address);
  const prefix = Number(length);
  return value === undefined || prefix > bits ? undefined : { bits, address: value, prefix };
}

function parseFour(text: string): bigint | undefined {
  const parts = text.split('.');
  if (parts.length !== 4 || !parts.every((part) => /^(0|[1-9]\d{0,2})$/.test(part) && Number(part) < 256)) {
    return undefined;
  }
  return parts.reduce((sum, part) => sum * 256n + BigInt(part), 0n);
}

function parseSix(text: string): bigint | undefined {
  // The browser knows every way to write one, and gives the shortest.
  if (!/^[0-9a-f:.]+$/i.test(text) || !URL.canParse(`http://[${text}]`)) return undefined;
  const short = new URL(`http://[${text}]`).hostname.slice(1, -1);
  const [head = '', tail] = short.split('::');
  const groups = (part: string) => part.split(':').filter((group) => group !== '');
  const [first, last] = [groups(head), groups(tail ?? '')];
  const all = [...first, ...Array<string>(8 - first.length - last.length).fill('0'), ...last];
  return all.reduce((sum, group) => (sum << 16n) + BigInt(`0x${group}`), 0n);
}

/** What is set in front of the prefix. */
const trunk = ({ bits, address, prefix }: Network) => {
  const behind = BigInt(bits - prefix);
  return (address >> behind) << behind;
};

function written({ bits, address, prefix }: Network): string {
  if (bits === 32) {
    const parts = [24n, 16n, 8n, 0n].map((shift) => (address >> shift) & 255n);
    return `${parts.join('.')}/${prefix}`;
  }
  const groups = Array.from({ length: 8 }, (_, at) => ((address >> BigInt(112 - 16 * at)) & 0xffffn).toString(16));
  return `${new URL(`http://[${groups.join(':')}]`).hostname.slice(1, -1)}/${prefix}`;
}

export interface Row {
  network: string;
  site: string;
  roundTrip: number | '';
}

export interface RowTrouble {
  network?: { key: 'siteMap.bad.form' | 'siteMap.bad.host' | 'siteMap.bad.twice'; network: string };
  site?: 'siteMap.bad.site';
}

/** What is wrong with each row, in their order. */
export function troublesOf(rows: Row[]): RowTrouble[] {
  const seen = new Set<string>();
  return rows.map((row) => {
    const trouble: RowTrouble = {};
    if (row.site.trim() === '') trouble.site = 'siteMap.bad.site';
    const network = parse(row.network);
    if (!network) return { ...trouble, network: { key: 'siteMap.bad.form', network: '' } };
    const whole = written({ ...network, address: trunk(network) });
    if (trunk(network) !== network.address) {
      return { ...trouble, network: { key: 'siteMap.bad.host', network: whole } };
    }
    const name = `${whole} ${row.site.trim()}`;
    if (seen.has(name)) trouble.network = { key: 'siteMap.bad.twice', network: whole };
    seen.add(name);
    return trouble;
  });
}
