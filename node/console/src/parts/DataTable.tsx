import { Table } from '@mantine/core';
import type { ReactNode } from 'react';

export interface Column<Row> {
  title: string;
  cell: (row: Row) => ReactNode;
  nowrap?: boolean;
  right?: boolean;
}

/** A plain table; on narrow screens each row becomes a card with its columns' titles in it. */
export function DataTable<Row>(props: {
  label: string;
  columns: Column<Row>[];
  rows: Row[];
  rowKey: (row: Row) => string;
}) {
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by the keyboard
    <div className="table-scroll" role="group" aria-label={props.label} tabIndex={0}>
      <Table className="data-table">
        <Table.Thead>
          <Table.Tr>
            {props.columns.map((column) => (
              <Table.Th key={column.title} className={column.right ? 'to-end' : undefined}>
                {column.title}
              </Table.Th>
            ))}
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {props.rows.map((row) => (
            <Table.Tr key={props.rowKey(row)}>
              {props.columns.map((column) => (
                <Table.Td
                  key={column.title}
                  className={`${column.nowrap ? 'nowrap' : 'breakable'} ${column.right ? 'to-end' : ''}`}
                  data-title={column.title}
                >
                  <div className="data-cell">{column.cell(row)}</div>
                </Table.Td>
              ))}
            </Table.Tr>
          ))}
        </Table.Tbody>
      </Table>
    </div>
  );
}
