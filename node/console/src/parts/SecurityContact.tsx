import { Anchor, Text } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { systemQuery } from '../api/queries';
import { useText } from '../text/TextProvider';

/** Where to report a vulnerability, at the foot of every page; nothing when the operator has not said. */
export function SecurityContact() {
  const { t } = useText();
  const contact = useQuery(systemQuery).data?.security_contact;
  if (!contact) return null;
  const shown = contact.replace(/^mailto:/, '');
  return (
    <Text component="footer" size="xs" c="dimmed" mt="xl" ta="center">
      {t('securityContact')}{' '}
      {/^(mailto|https|tel):/.test(contact) ? (
        <Anchor href={contact} size="xs" rel="noreferrer">
          {shown}
        </Anchor>
      ) : (
        shown
      )}
    </Text>
  );
}
