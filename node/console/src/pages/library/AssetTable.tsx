import { Checkbox, Table, Text } from '@mantine/core';
import { useWindowVirtualizer } from '@tanstack/react-virtual';
import { useRef } from 'react';
import type { Asset } from '../../api/model';
import { TextLink } from '../../parts/links';
import { StateBadge } from '../../parts/StateBadge';
import { TimeAgo } from '../../parts/TimeAgo';
import { clock } from '../../text/formats';
import { useText } from '../../text/TextProvider';
import { AssetLink } from './AssetCard';
import { useNearEnd } from './AssetGrid';
import type { AssetListProps } from './LibraryPage';
import { useProgress } from './useProgress';

const rowHeight = 49;

/** The list view: one line per asset, rows outside the window left out. */
export function AssetTable(props: AssetListProps) {
  const { t } = useText();
  const top = useRef<HTMLElement>(null);
  const rows = useWindowVirtualizer({
    count: props.assets.length,
    estimateSize: () => rowHeight,
    overscan: 12,
    scrollMargin: top.current?.offsetTop ?? 0,
  });
  const shown = rows.getVirtualItems();
  useNearEnd(shown.at(-1)?.index ?? 0, props.assets.length, props.more);
  const before = (shown[0]?.start ?? 0) - rows.options.scrollMargin;
  const after = rows.getTotalSize() - ((shown.at(-1)?.end ?? 0) - rows.options.scrollMargin);
  const all = props.assets.length > 0 && props.assets.every((asset) => props.selection.has(asset.id));
  return (
    <section ref={top} className="table-scroll" aria-label={t('library.title')}>
      <Table className="asset-table" aria-rowcount={props.assets.length}>
        <Table.Thead>
          <Table.Tr>
            {props.mayEdit && (
              <Table.Th w={44}>
                <Checkbox
                  aria-label={t('bulk.all')}
                  checked={all}
                  indeterminate={!all && props.selection.count > 0}
                  onChange={() => props.selection.set(all ? [] : props.assets.map((asset) => asset.id))}
                />
              </Table.Th>
            )}
            <Table.Th>{t('field.title')}</Table.Th>
            <Table.Th>{t('filter.state')}</Table.Th>
            <Table.Th className="wide-only">{t('field.duration')}</Table.Th>
            <Table.Th className="wide-only">{t('field.size')}</Table.Th>
            <Table.Th className="wide-only">{t('field.created')}</Table.Th>
            {props.mayEdit && <Table.Th>{t('asset.details')}</Table.Th>}
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {before > 0 && <Spacer height={before} />}
          {shown.map((row) => {
            const asset = props.assets[row.index];
            return asset ? <Row key={asset.id} asset={asset} {...props} /> : null;
          })}
          {after > 0 && <Spacer height={after} />}
        </Table.Tbody>
      </Table>
    </section>
  );
}

function Spacer({ height }: { height: number }) {
  return (
    // biome-ignore lint/a11y/noAriaHiddenOnFocusable: a row is not focusable
    <tr aria-hidden="true">
      <td style={{ height, padding: 0 }} colSpan={7} />
    </tr>
  );
}

function Row({ asset, selection, mayEdit }: AssetListProps & { asset: Asset }) {
  const { t, formats } = useText();
  const progress = useProgress(asset);
  const percent = asset.state === 'ready' || asset.state === 'failed' ? undefined : progress?.percent;
  return (
    <Table.Tr bg={selection.has(asset.id) ? 'var(--mantine-primary-color-light)' : undefined}>
      {mayEdit && (
        <Table.Td>
          <Checkbox
            checked={selection.has(asset.id)}
            onChange={() => selection.toggle(asset.id)}
            aria-label={t('bulk.choose', { title: asset.title })}
          />
        </Table.Td>
      )}
      <Table.Td className="title-cell">
        <AssetLink asset={asset} />
      </Table.Td>
      <Table.Td>
        <StateBadge state={asset.state} percent={percent} />
      </Table.Td>
      <Table.Td className="wide-only">{asset.duration_ms ? clock(asset.duration_ms / 1000) : '–'}</Table.Td>
      <Table.Td className="nowrap wide-only">{asset.size ? formats.bytes(asset.size) : '–'}</Table.Td>
      <Table.Td className="nowrap wide-only">
        <Text size="sm" component="span">
          <TimeAgo ms={asset.created_ms} />
        </Text>
      </Table.Td>
      {mayEdit && (
        <Table.Td>
          <TextLink
            to="/asset/$asset"
            params={{ asset: asset.id }}
            size="sm"
            aria-label={t('asset.detailsOf', { title: asset.title })}
          >
            {t('asset.details')}
          </TextLink>
        </Table.Td>
      )}
    </Table.Tr>
  );
}
