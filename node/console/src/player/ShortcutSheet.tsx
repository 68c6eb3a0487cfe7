import { Kbd, Modal, Table } from '@mantine/core';
import { useText } from '../text/TextProvider';
import { shortcuts } from './keys';

/** The "?" sheet. */
export function ShortcutSheet(props: { opened: boolean; close: () => void }) {
  const { t } = useText();
  return (
    <Modal
      opened={props.opened}
      onClose={props.close}
      title={t('keys.title')}
      withinPortal={false}
      closeButtonProps={{ 'aria-label': t('action.close') }}
    >
      <Table>
        <Table.Tbody>
          {shortcuts.map((shortcut) => (
            <Table.Tr key={shortcut.action}>
              <Table.Th scope="row" fw={400}>
                {t(shortcut.text)}
              </Table.Th>
              <Table.Td ta="right">
                {shortcut.shown.map((key) => (
                  <Kbd key={key} ml={6}>
                    {key}
                  </Kbd>
                ))}
              </Table.Td>
            </Table.Tr>
          ))}
        </Table.Tbody>
      </Table>
    </Modal>
  );
}
