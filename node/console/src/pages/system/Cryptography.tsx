import { Text } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import type { CryptographyUse, Inventory } from '../../api/model';
import { cryptographyQuery } from '../../api/queries';
import { DataTable } from '../../parts/DataTable';
import { Loaded } from '../../parts/Loaded';
import { Section } from '../../parts/Section';
import { useText } from '../../text/TextProvider';
import type { TextKey } from '../../text/t';

/** Every use of cryptography: algorithm, key, how it is exchanged, how it stands. */
export function Cryptography() {
  const { t } = useText();
  const query = useQuery(cryptographyQuery);
  return (
    <Section title={t('cryptography.title')} lead={t('cryptography.lead')}>
      <Loaded query={query}>{(inventory) => <Uses inventory={inventory} />}</Loaded>
    </Section>
  );
}

function Uses({ inventory }: { inventory: Inventory }) {
  const { t } = useText();
  const state = useStateWords();
  const { provider, fips, module } = inventory;
  const key = (one: CryptographyUse) =>
    one.key ? t(`cryptography.key.${one.key.id}` as TextKey) : t('cryptography.noKey');
  return (
    <>
      <dl className="facts">
        <div>
          <dt>{t('cryptography.provider')}</dt>
          <dd>{`${provider.name} ${provider.version}`}</dd>
        </div>
        <div>
          <dt>{t('cryptography.fips')}</dt>
          <dd>{fips ? t('cryptography.fipsYes', { module: module ?? '' }) : t('cryptography.fipsNo')}</dd>
        </div>
      </dl>
      <DataTable
        label={t('cryptography.title')}
        rows={inventory.uses}
        rowKey={(one) => one.id}
        columns={[
          { title: t('cryptography.column.purpose'), cell: (one) => t(`cryptography.use.${one.id}` as TextKey) },
          {
            title: t('cryptography.column.algorithm'),
            cell: (one) => (
              <Text size="xs" lang="en">
                {one.algorithm}
              </Text>
            ),
          },
          { title: t('cryptography.column.key'), cell: key },
          {
            title: t('cryptography.column.rotation'),
            cell: (one) => t(`cryptography.rotation.${one.rotation.how}` as TextKey),
          },
          { title: t('cryptography.column.state'), cell: (one) => state(one) },
        ]}
      />
    </>
  );
}

/** Makes the words for how one use stands. */
function useStateWords() {
  const { t, formats } = useText();
  return ({ state }: CryptographyUse) => {
    const counted = (name: 'key_epoch' | 'epochs' | 'keys' | 'keys_under_old_epoch') =>
      state[name] != null && t(`cryptography.state.${name}` as TextKey, { count: state[name] });
    const timed = (name: 'since' | 'not_after' | 'renewal') => {
      const time = state[`${name}_ms`];
      return time != null && t(`cryptography.state.${name}` as TextKey, { time: formats.dateTime(time) });
    };
    const worded = (word?: string | null) => word != null && t(`cryptography.state.${word}` as TextKey);
    const confirmed = state.confirmed == null ? null : state.confirmed ? 'confirmed' : 'unconfirmed';
    const words = [
      counted('key_epoch'),
      timed('since'),
      counted('epochs'),
      counted('keys'),
      counted('keys_under_old_epoch'),
      worded(state.source),
      state.certificate_key,
      timed('not_after'),
      timed('renewal'),
      worded(confirmed),
      worded(state.protection),
    ];
    return words.filter(Boolean).join(' · ');
  };
}
